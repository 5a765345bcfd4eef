package bus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jethook/jethook/internal/event"
)

// operated is a server of an operator, with an account for jethook.
type operated struct {
	config           Config
	account, signing string // the account, and the seed of a key that signs for it
}

func newOperated(t *testing.T) operated {
	t.Helper()
	make := func(create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public, seed string) {
		t.Helper()
		pair, err := create()
		if err != nil {
			t.Fatal(err)
		}
		if public, err = pair.PublicKey(); err != nil {
			t.Fatal(err)
		}
		text, err := pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		return pair, public, string(text)
	}
	sign := func(claims jwt.Claims, by nkeys.KeyPair) string {
		t.Helper()
		text, err := claims.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	operator, operatorKey, _ := make(nkeys.CreateOperator)
	system, systemKey, _ := make(nkeys.CreateAccount)
	account, accountKey, _ := make(nkeys.CreateAccount)
	_, signingKey, signingSeed := make(nkeys.CreateAccount)
	_, userKey, userSeed := make(nkeys.CreateUser)

	claims := jwt.NewAccountClaims(accountKey)
	claims.SigningKeys.Add(signingKey)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1, MaxAckPending: -1, MemoryMaxStreamBytes: -1, DiskMaxStreamBytes: -1}
	of := jwt.NewOperatorClaims(operatorKey)
	of.SystemAccount = systemKey
	config := external(t, fmt.Sprintf("\noperator: %s\nresolver: MEMORY\nresolver_preload {%s: %s, %s: %s}\n", sign(of, operator),
		systemKey, sign(jwt.NewAccountClaims(systemKey), operator), accountKey, sign(claims, operator)))
	creds, err := Creds(sign(jwt.NewUserClaims(userKey), account), []byte(userSeed))
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(config.External.URL, "@")
	config.External = External{URL: "nats://" + address, Creds: []byte(creds)}
	_ = system
	return operated{config, accountKey, signingSeed}
}

func TestSignedCredentialsReachTheirDurableOnAClusterOfAnOperator(t *testing.T) {
	of := newOperated(t)
	of.config.External.Signing.Key = []byte(of.signing + "\n")
	b := open(t, of.config)
	if got := b.Account(); got != of.account {
		t.Errorf("account %q, want %q", got, of.account)
	}
	durables(t, b, "ledger", "audit")
	publish(t, b, numbered(1))
	public, seed, err := NewNKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := b.UserJWT(User{Name: "ledger", Env: event.Prod}, public)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := Creds(text, seed)
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 10)
	conn, err := nats.Connect(b.URL(), nats.UserCredentialBytes([]byte(creds)), nats.CustomInboxPrefix(InboxPrefix("ledger")),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m, err := conn.Request(nextOf+"ledger", []byte(`{"batch":1,"expires":5000000000}`), 10*time.Second)
	if err != nil || m.Header.Get("ce-id") == "" {
		t.Fatalf("got %v, error %v; want an event", m, err)
	}
	if err := m.AckSync(); err != nil {
		t.Errorf("acknowledge: %v", err)
	}
	for _, subject := range []string{nextOf + "audit", "events.prod.shop.forged", "$JS.API.STREAM.MSG.GET.EVENTS_PROD", "$JS.ACK.EVENTS_PROD.audit.1.1.1.1.1"} {
		if err := conn.PublishRequest(subject, "_INBOX_ledger.x", nil); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-refused:
			if !strings.Contains(err.Error(), subject) {
				t.Errorf("publish to %s: %v", subject, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("publish to %s was not refused", subject)
		}
	}
}

func TestASigningKeyThatCannotSignIsRefusedAtTheStart(t *testing.T) {
	of := newOperated(t)
	_, userSeed, err := NewNKey()
	if err != nil {
		t.Fatal(err)
	}
	plain := external(t, "\n"+user("jetstream: enabled", ""))
	for name, test := range map[string]struct {
		config Config
		key    string
		want   string
	}{
		"not a seed":                  {of.config, "SAtops3cret", "nats.signing.key is not the seed"},
		"the seed of a user":          {of.config, string(userSeed), "nats.signing.key is not the seed"},
		"a cluster with no operator ": {plain, of.signing, "takes no signed credentials"},
	} {
		test.config.External.Signing.Key = []byte(test.key)
		log, err := opened(t, test.config)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error()+log, test.key) {
			t.Errorf("%s: error %v, want %q and no key", name, err, test.want)
		}
	}
}
