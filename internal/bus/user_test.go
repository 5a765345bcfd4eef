package bus

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/jethook/jethook/internal/event"
)

// subscriber makes a key pair and the user it belongs to.
func subscriber(t *testing.T, name string) (User, nats.Option) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return User{Name: name, Env: event.Prod, NKey: public}, nats.Nkey(public, pair.Sign)
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

func TestThereIsNoPortUnlessAsked(t *testing.T) {
	if addr := open(t, embedded(t.TempDir(), Process)).Addr(); addr != nil {
		t.Errorf("listens on %s", addr)
	}
}

func TestASubscriberReachesItsConsumerAndNothingElse(t *testing.T) {
	user, option := subscriber(t, "ledger")
	b := listening(t, user)
	for _, name := range []string{"ledger", "other"} {
		if _, err := b.JetStream().CreateConsumer(t.Context(), StreamName(event.Prod), jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "events.prod.>",
		}); err != nil {
			t.Fatal(err)
		}
	}
	e := numbered(1)
	publish(t, b, e)
	conn, err := nats.Connect(b.Addr().String(), option, nats.CustomInboxPrefix("_INBOX_ledger"),
		nats.PermissionErrOnSubscribe(true), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	next := func(consumer string) (*nats.Msg, error) {
		return conn.Request("$JS.API.CONSUMER.MSG.NEXT.EVENTS_PROD."+consumer, []byte(`{"batch":1,"no_wait":true}`), time.Second)
	}
	message, err := next("ledger")
	if err != nil {
		t.Fatalf("its own consumer: %v", err)
	}
	if got := message.Header["ce-id"]; len(got) != 1 || got[0] != string(e.ID) {
		t.Errorf("ce-id %q, want %s", got, e.ID)
	}
	if err := message.AckSync(); err != nil {
		t.Errorf("acknowledge: %v", err)
	}
	const short = 100 * time.Millisecond // a refusal is silence to the client
	if _, err := next("other"); err == nil {
		t.Error("another consumer was reached")
	}
	for _, subject := range []string{
		"$JS.API.STREAM.INFO.EVENTS_PROD", "$JS.API.STREAM.MSG.GET.EVENTS_PROD", "$JS.API.DIRECT.GET.EVENTS_PROD",
		"$JS.API.CONSUMER.CREATE.EVENTS_PROD.ledger", "$JS.API.CONSUMER.DELETE.EVENTS_PROD.ledger",
		"$JS.API.STREAM.PURGE.EVENTS_PROD", "events.prod.shop.forged",
	} {
		if reply, err := conn.Request(subject, []byte("{}"), short); err == nil {
			t.Errorf("%s was answered: %s", subject, reply.Data)
		}
	}
	if _, err := conn.SubscribeSync("_INBOX_other.>"); err == nil {
		if err := conn.Flush(); err == nil && conn.LastError() == nil {
			t.Error("another inbox was reached")
		}
	}
}

func TestUsersChangeWhileTheServerRuns(t *testing.T) {
	first, firstKey := subscriber(t, "ledger")
	second, secondKey := subscriber(t, "mailer")
	b := listening(t, first)
	if err := b.SetUsers([]User{second}); err != nil {
		t.Fatal(err)
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
}

func TestAKeyThatIsNoUsersIsRefusedWithTheRemedy(t *testing.T) {
	config := embedded(t.TempDir(), Process)
	config.Embedded.Users = []User{{Name: "ledger", Env: event.Prod, NKey: "UABC"}}
	if b, err := Open(t.Context(), config); err == nil {
		t.Error("opened", errors.Join(b.Close()))
	}
}
