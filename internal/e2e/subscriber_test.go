package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// service is an internal service that consumes the stream with a NATS client.
type service struct {
	name   string
	key    nkeys.KeyPair
	public string
}

func newService(t *testing.T, name string) service {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return service{name, key, public}
}

// entry is the service in subscribers.
func (s service) entry(events string) string {
	return fmt.Sprintf("{name: %s, events: [%q], nkey: %s}", s.name, events, s.public)
}

// dial connects; what the server refuses later comes on the channel.
func (s service) dial(b *bridge) (*nats.Conn, <-chan error, error) {
	refused := make(chan error, 100)
	connection, err := nats.Connect("nats://"+b.addresses["nats"],
		nats.Nkey(s.public, s.key.Sign), nats.CustomInboxPrefix("_INBOX_"+s.name), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	return connection, refused, err
}

func (s service) connect(t *testing.T, b *bridge) (*nats.Conn, <-chan error) {
	t.Helper()
	connection, refused, err := s.dial(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connection.Close)
	return connection, refused
}

// listening is an embedded server that services may connect to.
func listening(t *testing.T) string {
	return fmt.Sprintf("nats: {embedded: {store_dir: %q, listen: \"127.0.0.1:0\"}, stream: {max_bytes: 64MiB}}\n", t.TempDir())
}

func TestASubscriberConsumesItsDurableByName(t *testing.T) {
	t.Parallel()
	ledger := newService(t, "ledger")
	b := start(t, listening(t), sources(shop("shop"), shop("store")), list("subscribers", []string{ledger.entry("shop.order.*")}))
	first := b.sold(t, "1")
	b.sell("store", order("1")).accepted(t) // not its own
	second := b.sold(t, "2")

	connection, _ := ledger.connect(t, b)
	js, err := jetstream.New(connection)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), "EVENTS_PROD", "ledger")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{first, second} {
		message, err := consumer.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		if got := message.Headers().Get("ce-id"); got != want || message.Subject() != "events.prod.shop.order.paid" {
			t.Errorf("got %s under %s, want %s", got, message.Subject(), want)
		}
		if err := message.DoubleAck(t.Context()); err != nil {
			t.Errorf("acknowledge: %v", err)
		}
	}
	info, err := consumer.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.NumPending != 0 || info.NumAckPending != 0 {
		t.Errorf("%d events are pending and %d not acknowledged, want none: only its own come", info.NumPending, info.NumAckPending)
	}
}

func TestASubscriberReachesNothingButItsDurable(t *testing.T) {
	t.Parallel()
	ledger, audit, r := newService(t, "ledger"), newService(t, "audit"), newReceiver(t, nil)
	b := start(t, listening(t), sources(shop("shop")), endpoints(endpoint("billing", r)),
		list("subscribers", []string{ledger.entry("shop.order.*"), audit.entry(">")}))
	connection, refused := ledger.connect(t, b)
	expect := func(what, subject string) {
		t.Helper()
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), fmt.Sprintf("%q", subject)) {
				t.Errorf("%s %s: got %v, want it refused", what, subject, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s %s was not refused", what, subject)
		}
	}
	for _, subject := range []string{
		"events.prod.shop.order.paid",
		"retry.due.prod.billing",
		"anything",
		"_INBOX_audit.x",
		"$JS.API.INFO",
		"$JS.API.STREAM.NAMES",
		"$JS.API.STREAM.INFO.EVENTS_PROD",
		"$JS.API.STREAM.PURGE.EVENTS_PROD",
		"$JS.API.STREAM.DELETE.EVENTS_PROD",
		"$JS.API.STREAM.MSG.GET.EVENTS_PROD",
		"$JS.API.STREAM.CREATE.MINE",
		"$JS.API.DIRECT.GET.EVENTS_PROD",
		"$JS.API.CONSUMER.CREATE.EVENTS_PROD.ledger",
		"$JS.API.CONSUMER.CREATE.EVENTS_PROD.ledger.events.prod.>",
		"$JS.API.CONSUMER.DURABLE.CREATE.EVENTS_PROD.ledger",
		"$JS.API.CONSUMER.DELETE.EVENTS_PROD.ledger",
		"$JS.API.CONSUMER.NAMES.EVENTS_PROD",
		"$JS.API.CONSUMER.INFO.EVENTS_PROD.audit",
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS_PROD.audit",
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS_PROD.billing",
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS_TEST.ledger",
		"$JS.ACK.EVENTS_PROD.audit.1.1.1.1.1",
		"$KV.SECRETS.x",
		"$SYS.REQ.SERVER.PING",
	} {
		if err := connection.PublishRequest(subject, "_INBOX_ledger.x", nil); err != nil {
			t.Fatal(err)
		}
		expect("publish to", subject)
	}
	for _, subject := range []string{">", "events.>", "events.prod.shop.order.paid", "_INBOX.>", "_INBOX_audit.>", "$JS.EVENT.>"} {
		if _, err := connection.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		expect("subscribe to", subject)
	}
	id := b.sold(t, "after all that")
	if got := r.next().header.Get("webhook-id"); got != id {
		t.Errorf("%s was delivered, want %s", got, id)
	}
}

func TestNobodyWithoutCredentialsIsAdmitted(t *testing.T) {
	t.Parallel()
	ledger, stranger := newService(t, "ledger"), newService(t, "ledger")
	subscribed := list("subscribers", []string{ledger.entry("shop.>")})
	bus := listening(t)
	b := start(t, bus, sources(shop("shop")), subscribed)
	for name, options := range map[string][]nats.Option{
		"no credentials":                 nil,
		"a password":                     {nats.UserInfo("jethook", "jethook")},
		"a token":                        {nats.Token("jethook")},
		"a strange key":                  {nats.Nkey(stranger.public, stranger.key.Sign)},
		"the right name for another key": {nats.Nkey(ledger.public, stranger.key.Sign)},
	} {
		connection, err := nats.Connect("nats://"+b.addresses["nats"], append(options, nats.NoReconnect())...)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: got %v, want %v", name, err, nats.ErrAuthorization)
		}
		if err == nil {
			connection.Close()
		}
	}

	connection, _ := ledger.connect(t, b)
	closed := make(chan struct{})
	connection.SetClosedHandler(func(*nats.Conn) { close(closed) })
	b.configure(bus, sources(shop("shop")))
	b.waitLog("configuration reloaded")
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("a subscriber that is not configured any more keeps its connection")
	}
	if _, _, err := ledger.dial(b); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a subscriber that is not configured any more: got %v, want %v", err, nats.ErrAuthorization)
	}
}
