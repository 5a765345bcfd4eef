package bus

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// external runs a NATS server with a configuration of its own kind, in which
// %s is a directory, and returns how to connect to it.
func external(t *testing.T, text string) Config {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.conf")
	text = fmt.Sprintf("listen: \"127.0.0.1:-1\"\nserver_name: remote\njetstream {store_dir: %q, %s}\n%s", dir, jetstreamOf(text), rest(text))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	config := embedded("", Process)
	config.Embedded, config.External = nil, External{URL: "nats://jethook:secret@" + s.Addr().String()}
	return config
}

// The first line of a configuration is JetStream's.
func jetstreamOf(text string) string { first, _, _ := strings.Cut(text, "\n"); return first }
func rest(text string) string        { _, after, _ := strings.Cut(text, "\n"); return after }

// user is the account of a user with those permissions, or with all.
func user(account, permissions string) string {
	return fmt.Sprintf("accounts {BUS {%s, users: [{user: jethook, password: secret %s}]}, SYS {users: [{user: sys, password: s}]}}\nsystem_account: SYS\n", account, permissions)
}

// opened opens the bus and returns what it logged, and its error.
func opened(t *testing.T, config Config) (string, error) {
	t.Helper()
	log := new(logBuffer)
	config.Logger = slog.New(slog.NewTextHandler(log, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := Open(ctx, config)
	if err != nil {
		return log.String(), err
	}
	publish(t, b, numbered(1))
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	return log.String(), nil
}

func TestABusOfOthersIsOpenedAndItsShortfallsAreNamed(t *testing.T) {
	config := external(t, "\n"+user("jetstream: enabled", ""))
	log, err := opened(t, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"set nats.stream.replicas to 3", "level=INFO msg=\"whether the servers flush"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "refuses") || strings.Contains(log, "secret") {
		t.Errorf("the log tells of more than it should:\n%s", log)
	}
	if log, err = opened(t, config); err != nil || strings.Contains(log, "differs") {
		t.Errorf("the second time: error %v, log\n%s", err, log)
	}
}

func TestTryingWhatIsAllowedStoresNothing(t *testing.T) {
	b := open(t, external(t, "\n"+user("jetstream: enabled", "")))
	for _, want := range b.streams() {
		stream, err := b.JetStream().Stream(t.Context(), want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().State.LastSeq; got != 0 {
			t.Errorf("stream %s has got %d messages", want.Name, got)
		}
	}
}

func TestHowTheServersFlushIsToldWhereItCanBeSeen(t *testing.T) {
	seen := `
		accounts {
			SYS {users: [{user: sys, password: s}], exports: [{service: "$SYS.REQ.SERVER.PING.JSZ", response: stream}]}
			BUS {jetstream: enabled, users: [{user: jethook, password: secret}],
				imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ"}}]}
		}
		system_account: SYS`
	lazy, err := opened(t, external(t, seen))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(lazy, "set jetstream.sync_interval to always") || !strings.Contains(lazy, "servers=[remote]") {
		t.Errorf("the log does not say that the server is to flush always:\n%s", lazy)
	}
	always, err := opened(t, external(t, "sync_interval: always"+seen))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(always, "sync_interval") {
		t.Errorf("the log complains of a server that flushes always:\n%s", always)
	}
}

func TestAnAccountWithTooLittleStorageIsRefusedWithTheNumbers(t *testing.T) {
	_, err := opened(t, external(t, "\n"+user("jetstream: {max_file: 100MB}", "")))
	if err == nil {
		t.Fatal("opened")
	}
	for _, want := range []string{"lower nats.stream.max_bytes", "may store 100 MiB", "64 MiB are reserved", "2 event streams reserves 64 MiB"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}

func TestAnAccountThatIsNearlyFullIsWarnedOf(t *testing.T) {
	log, err := opened(t, external(t, "\n"+user("jetstream: {max_file: 1250MB, max_consumers: 20}", "")))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"little is left for retries", "allows few consumers", "limit=20"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

func TestAnAccountWithTooFewStreamsIsRefused(t *testing.T) {
	_, err := opened(t, external(t, "\n"+user("jetstream: {max_streams: 4}", "")))
	if err == nil || !strings.Contains(err.Error(), "six streams and seven buckets") {
		t.Errorf("error %v, want one that says how many streams there must be", err)
	}
}

func TestPermissionsThatAreLackingAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ permissions, want string }{
		"a question of the layout": {`publish: {deny: "$JS.API.STREAM.INFO.>"}`, `$JS.API.STREAM.INFO.EVENTS_PROD`},
		"what comes later":         {`publish: {deny: ["$JS.API.CONSUMER.LIST.*", "$JS.API.STREAM.MSG.GET.*"]}`, `$JS.API.CONSUMER.LIST.EVENTS_PROD`},
		"events":                   {`publish: {allow: ["$JS.>", "$KV.>", "retry.>", "dead.>", "attempts.>"]}`, `events.prod.jethook.probe`},
		"answers":                  {`subscribe: {allow: "_INBOX_mine.>"}`, `Subscription to \"_INBOX.`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := opened(t, external(t, "\n"+user("jetstream: enabled", ", permissions: {"+c.permissions+"}")))
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `"`, `\"`), c.want) {
				t.Errorf("error %v, want one that names %s", err, c.want)
			}
		})
	}
}

func TestReplicasThatTheServerCannotKeepAreRefused(t *testing.T) {
	config := external(t, "\n"+user("jetstream: enabled", ""))
	config.Stream.Replicas = 3
	if _, err := opened(t, config); err == nil || !strings.Contains(err.Error(), "lower nats.stream.replicas or add servers") {
		t.Errorf("error %v, want one that names nats.stream.replicas", err)
	}
}

func TestAnExternalStreamThatDiffersIsUpdated(t *testing.T) {
	config := external(t, "\n"+user("jetstream: enabled", ""))
	if _, err := opened(t, config); err != nil {
		t.Fatal(err)
	}
	config.Stream.MaxBytes = 32 << 20
	log, err := opened(t, config)
	if err != nil || !strings.Contains(log, "stream=EVENTS_PROD fields=[MaxBytes]") {
		t.Errorf("error %v, log\n%s", err, log)
	}
}

func TestAServerThatIsTooOldIsRefused(t *testing.T) {
	for version, want := range map[string]string{
		"2.10.29": "refused", "2.13.0": "refused", "1.4.1": "refused",
		"2.14.7": "warned of", "2.14.0-RC.1": "warned of", "dev": "warned of",
		"2.15.2": "fine", "2.16.0-beta.1": "fine", "3.0.0": "fine",
	} {
		got := "fine"
		if shortfall, err := judge(version); err != nil {
			got = "refused"
		} else if shortfall != "" {
			got = "warned of"
		}
		if got != want {
			t.Errorf("version %s is %s, want %s", version, got, want)
		}
	}
}
