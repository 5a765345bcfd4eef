package bus

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/jethook/jethook/internal/event"
)

// nkey makes the key pair of a user.
func nkey(t *testing.T) (pair nkeys.KeyPair, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err = pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return pair, public
}

// subscriber makes a key pair and the user it belongs to.
func subscriber(t *testing.T, name string) (User, nats.Option) {
	t.Helper()
	pair, public := nkey(t)
	return User{Name: name, Env: event.Prod, NKeys: []string{public}}, nats.Nkey(public, pair.Sign)
}

func listening(t *testing.T, users ...User) *Bus {
	config := embedded(t.TempDir(), Process)
	config.Embedded.Listen, config.Embedded.Users = "127.0.0.1:0", users
	return open(t, config)
}

func TestThePortAdmitsNobodyWithoutCredentials(t *testing.T) {
	user, _ := subscriber(t, "ledger")
	_, stranger := subscriber(t, "stranger")
	b := listening(t, user)
	for name, options := range map[string][]nats.Option{
		"no credentials":    nil,
		"a stranger's key":  {stranger},
		"a user by name":    {nats.UserInfo("jethook", "")},
		"a token":           {nats.Token("x")},
		"the system's user": {nats.UserInfo("sys", "pass")},
	} {
		conn, err := nats.Connect(b.Addr().String(), options...)
		if err == nil {
			conn.Close()
			t.Errorf("%s: admitted", name)
		}
	}
}

func TestASignatureIsReadInEitherForm(t *testing.T) {
	pair, public := nkey(t)
	nonce := []byte("nonce")
	raw, err := pair.Sign(nonce)
	if err != nil {
		t.Fatal(err)
	}
	for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.StdEncoding} {
		if !signed(public, encoding.EncodeToString(raw), nonce) {
			t.Errorf("%s is not taken", encoding.EncodeToString(raw))
		}
		if signed(public, encoding.EncodeToString(raw), []byte("another")) || signed(public, encoding.EncodeToString(raw[:10]), nonce) {
			t.Error("a wrong signature is taken")
		}
	}
	if signed(public, "", nil) || signed("", "", nonce) {
		t.Error("no signature is taken")
	}
}

func TestThereIsNoPortUnlessAsked(t *testing.T) {
	if addr := open(t, embedded(t.TempDir(), Process)).Addr(); addr != nil {
		t.Errorf("listens on %s", addr)
	}
}

// durables makes consumers of all events.
func durables(t *testing.T, b *Bus, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := b.JetStream().CreateConsumer(t.Context(), StreamName(event.Prod), jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "events.prod.>", AckWait: time.Hour,
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// connected is a subscriber's connection; what is refused comes on the channel.
func connected(t *testing.T, b *Bus, name string, key nats.Option) (*nats.Conn, <-chan error) {
	t.Helper()
	refused := make(chan error, 100)
	conn, err := nats.Connect(b.Addr().String(), key, nats.CustomInboxPrefix(InboxPrefix(name)),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn, refused
}

// nextOf is the subject of requests for a consumer's events.
const nextOf = "$JS.API.CONSUMER.MSG.NEXT.EVENTS_PROD."

func TestASubscriberConsumesItsDurable(t *testing.T) {
	user, key := subscriber(t, "ledger")
	b := listening(t, user)
	durables(t, b, "ledger")
	e := numbered(1)
	publish(t, b, e)
	conn, _ := connected(t, b, "ledger", key)
	message, err := conn.Request(nextOf+"ledger", []byte(`{"batch":1,"expires":5000000000}`), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := message.Header["ce-id"]; len(got) != 1 || got[0] != string(e.ID) {
		t.Errorf("ce-id %q, want %s", got, e.ID)
	}
	if err := message.AckSync(); err != nil {
		t.Errorf("acknowledge: %v", err)
	}
	info, err := b.JetStream().Consumer(t.Context(), StreamName(event.Prod), "ledger")
	if err != nil {
		t.Fatal(err)
	}
	if floor := info.CachedInfo().AckFloor.Stream; floor != 1 {
		t.Errorf("ack floor %d, want 1", floor)
	}
}

func TestASubscriberIsRefusedEverythingElse(t *testing.T) {
	user, key := subscriber(t, "7") // a name that could be a sequence
	other, _ := subscriber(t, "audit")
	b := listening(t, user, other)
	durables(t, b, "7", "audit", "billing")
	conn, refused := connected(t, b, "7", key)
	expect := func(what, subject string) {
		t.Helper()
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(strconv.Quote(subject))) {
				t.Errorf("%s %s: got %v, want it refused", what, subject, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s %s was not refused", what, subject)
		}
	}
	for _, subject := range []string{
		"events.prod.shop.forged",
		"retry.due.prod.billing",
		"dead.prod.billing",
		"_INBOX_audit.x",
		"$JS.API.INFO",
		"$JS.API.STREAM.LIST",
		"$JS.API.STREAM.NAMES",
		"$JS.API.STREAM.INFO.EVENTS_PROD",
		"$JS.API.STREAM.MSG.GET.EVENTS_PROD",
		"$JS.API.STREAM.MSG.DELETE.EVENTS_PROD",
		"$JS.API.STREAM.PURGE.EVENTS_PROD",
		"$JS.API.STREAM.DELETE.EVENTS_PROD",
		"$JS.API.STREAM.UPDATE.EVENTS_PROD",
		"$JS.API.STREAM.SNAPSHOT.EVENTS_PROD",
		"$JS.API.DIRECT.GET.EVENTS_PROD",
		"$JS.API.DIRECT.GET.EVENTS_PROD.events.prod.shop.paid",
		"$JS.API.DIRECT.GET.KV_SECRETS.$KV.SECRETS.x",
		"$JS.API.CONSUMER.LIST.EVENTS_PROD",
		"$JS.API.CONSUMER.CREATE.EVENTS_PROD",
		"$JS.API.CONSUMER.CREATE.EVENTS_PROD.7",
		"$JS.API.CONSUMER.CREATE.EVENTS_PROD.7.events.prod.>",
		"$JS.API.CONSUMER.DURABLE.CREATE.EVENTS_PROD.7",
		"$JS.API.CONSUMER.DELETE.EVENTS_PROD.7",
		"$JS.API.CONSUMER.PAUSE.EVENTS_PROD.7",
		"$JS.API.CONSUMER.RESET.EVENTS_PROD.7",
		"$JS.API.CONSUMER.UNPIN.EVENTS_PROD.7",
		"$JS.API.CONSUMER.INFO.EVENTS_PROD.audit",
		"$JS.API.CONSUMER.INFO.EVENTS_TEST.7",
		"$JS.API.CONSUMER.INFO.RETRY.7",
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS_PROD.audit",
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS_TEST.7",
		"$JS.API.CONSUMER.MSG.NEXT.DEAD.7",
		"$JS.ACK.EVENTS_PROD.audit.1.1.1.1.1",
		"$JS.ACK.EVENTS_PROD.audit.EVENTS_PROD.7.1.1.0", // the second form of its own, read as the first of audit's
		"$JS.ACK.EVENTS_TEST.7.1.1.1.1.1",
		"$JS.FC.EVENTS_PROD.7.x",
		"$KV.SECRETS.x",
		"$SYS.REQ.SERVER.PING",
		"$SYS.REQ.ACCOUNT.PING.CONNZ",
		"$SYS.REQ.USER.INFO",
	} {
		if err := conn.PublishRequest(subject, "_INBOX_7.x", nil); err != nil {
			t.Fatal(err)
		}
		expect("publish to", subject)
	}
	for _, subject := range []string{
		">", "*", "events.>", "events.prod.shop.paid", "_INBOX.>", "_INBOX_*.>", "_INBOX_audit.>", "_INBOX_audit.x", "$JS.>", "$JS.ACK.EVENTS_PROD.audit.>",
		"$JS.EVENT.>", "$JS.API.CONSUMER.MSG.NEXT.EVENTS_PROD.7", "$SYS.>", "$KV.>", "_R_.>",
	} {
		if _, err := conn.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		expect("subscribe to", subject)
	}
	// The server ends nothing of this, and refuses a reply that it has itself a use for.
	for _, reply := range []string{"$JS.ACK.EVENTS_PROD.audit.1.1.1.1.1", "_R_.x.y", "_GR_.x.y"} {
		if err := conn.PublishRequest(nextOf+"7", reply, nil); err != nil {
			t.Fatal(err)
		}
		expect("have answered at", reply)
	}
}

func TestWhatASubscriberHasAnsweredElsewhereReachesNothing(t *testing.T) {
	user, key := subscriber(t, "ledger")
	other, otherKey := subscriber(t, "audit")
	b := listening(t, user, other)
	durables(t, b, "ledger", "audit", "victim")
	conn, _ := connected(t, b, "ledger", key)
	audit, _ := connected(t, b, "audit", otherKey)
	inbox, err := audit.SubscribeSync("_INBOX_audit.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Flush(); err != nil {
		t.Fatal(err)
	}
	within, err := conn.SubscribeSync("_INBOX_ledger.>")
	if err != nil {
		t.Fatal(err)
	}
	replies := []string{
		"_INBOX_audit.x",
		"events.prod.shop.forged",
		"retry.due.prod.billing",
		"dead.prod.billing",
		"$KV.SECRETS.x",
		"$JS.API.CONSUMER.DELETE.EVENTS_PROD.victim",
		"$JS.API.STREAM.PURGE.EVENTS_PROD",
		"$JS.API.STREAM.DELETE.EVENTS_PROD",
		"$JS.API.STREAM.DELETE.KV_SECRETS",
		nextOf + "audit",
	}
	for i, reply := range replies {
		publish(t, b, numbered(i))
		for subject, body := range map[string]string{
			nextOf + "ledger":                               `{"batch":1,"expires":1000000000}`,
			"$JS.API.CONSUMER.INFO.EVENTS_PROD.ledger":      "",
			"$JS.ACK.EVENTS_PROD.ledger.1.1.1.1.1":          "+NXT",
			"$JS.API.CONSUMER.MSG.NEXT.EVENTS_PROD.ledger ": "",
		} {
			if strings.HasSuffix(subject, " ") { // an error as the answer, which has no body
				subject, body = strings.TrimSpace(subject), `{"batch":-1}`
			}
			if err := conn.PublishRequest(subject, reply, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What was asked before is done when this is answered.
	for range 2 {
		if err := conn.PublishRequest("$JS.API.CONSUMER.INFO.EVENTS_PROD.ledger", "_INBOX_ledger.x", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := within.NextMsg(10 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for stream, want := range map[string]uint64{StreamName(event.Prod): uint64(len(replies)), Retry: 0, Dead: 0, "KV_SECRETS": 0} {
		found, err := b.JetStream().Stream(t.Context(), stream)
		if err != nil {
			t.Errorf("%s: %v", stream, err)
		} else if got := found.CachedInfo().State; got.LastSeq != want || got.Msgs != want {
			t.Errorf("%s has %d messages up to %d, want %d", stream, got.Msgs, got.LastSeq, want)
		}
	}
	for _, name := range []string{"audit", "victim"} {
		consumer, err := b.JetStream().Consumer(t.Context(), StreamName(event.Prod), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if info := consumer.CachedInfo(); info.Delivered.Consumer != 0 || info.NumWaiting != 0 {
			t.Errorf("%s: %d delivered and %d requests, want none", name, info.Delivered.Consumer, info.NumWaiting)
		}
	}
	if n, _, err := inbox.Pending(); err != nil || n != 0 {
		t.Errorf("%d messages in the inbox of another (%v), want none", n, err)
	}
}

func TestUsersChangeWhileTheServerRuns(t *testing.T) {
	first, firstKey := subscriber(t, "ledger")
	second, secondKey := subscriber(t, "mailer")
	third, thirdKey := subscriber(t, "audit")
	b := listening(t, first, third)
	lost := make(chan string, 10)
	for name, key := range map[string]nats.Option{"ledger": firstKey, "audit": thirdKey} {
		conn, err := nats.Connect(b.Addr().String(), key, nats.NoReconnect(), nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- name }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if err := b.SetUsers([]User{second, third}); err != nil {
		t.Fatal(err)
	}
	select {
	case name := <-lost:
		if name != "ledger" {
			t.Errorf("%s is disconnected, want ledger", name)
		}
	case <-time.After(10 * time.Second):
		t.Error("a user that is gone is connected still")
	}
	if conn, err := nats.Connect(b.Addr().String(), firstKey); err == nil {
		conn.Close()
		t.Error("a user that is gone was admitted")
	}
	conn, err := nats.Connect(b.Addr().String(), secondKey)
	if err != nil {
		t.Fatalf("a new user: %v", err)
	}
	conn.Close()
	publish(t, b, numbered(1)) // the bridge's own connections go on
	if len(lost) > 0 {
		t.Errorf("%s is disconnected too", <-lost)
	}
}

func TestTheBusiestIsWhoSendsTheMostNow(t *testing.T) {
	old, oldKey := subscriber(t, "ledger")
	flood, floodKey := subscriber(t, "mailer")
	b := listening(t, old, flood)
	g := b.gate
	send := func(conn *nats.Conn, name string, count int) {
		for range count {
			if err := conn.PublishRequest(nextOf+name, InboxPrefix(name)+".x", []byte(`{"batch":1,"no_wait":true}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	veteran, _ := connected(t, b, "ledger", oldKey)
	newcomer, _ := connected(t, b, "mailer", floodKey)
	send(veteran, "ledger", 1000)
	var sent map[uint64]int64
	eventually(t, "it is known what was sent", func() bool {
		busiest, now, err := g.busiest(nil)
		if err != nil {
			t.Fatal(err)
		}
		sent = now
		return busiest.InMsgs == 1000
	})
	send(newcomer, "mailer", 10)
	eventually(t, "who has sent less in all, and more since, is the busiest", func() bool {
		busiest, _, err := g.busiest(sent)
		if err != nil {
			t.Fatal(err)
		}
		return busiest.AuthorizedUser == flood.NKeys[0]
	})
}

func TestAKeyThatIsNoUsersIsRefusedWithTheRemedy(t *testing.T) {
	config := embedded(t.TempDir(), Process)
	config.Embedded.Users = []User{{Name: "ledger", Env: event.Prod, NKeys: []string{"UABC"}}}
	if b, err := Open(t.Context(), config); err == nil {
		t.Error("opened", errors.Join(b.Close()))
	}
}
