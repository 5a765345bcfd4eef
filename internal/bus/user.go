package bus

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jethook/jethook/internal/event"
)

// User is a service that consumes one durable with a NATS client of its own.
type User struct {
	// Name is the durable's name; the client's inbox prefix is InboxPrefix.
	Name string
	Env  event.Env
	// NKeys are the public keys (U…) that are valid, at least one.
	NKeys []string
}

// InboxPrefix returns what the inboxes of a subscriber's client begin with.
func InboxPrefix(name string) string { return "_INBOX_" + name }

// PublishSubjects returns all that a client needs to publish to for consuming a
// durable. To create one is not among them, for its filter is in the request. The
// acknowledgements have as many tokens as the server writes: with > at their end
// the second form, of servers that write it, would be the first form of any other
// durable.
func PublishSubjects(env event.Env, name string) []string {
	durable := StreamName(env) + "." + name
	return []string{
		"$JS.API.CONSUMER.INFO." + durable,
		"$JS.API.CONSUMER.MSG.NEXT." + durable,
		"$JS.ACK." + durable + ".*.*.*.*.*",
		"$JS.ACK.*.*." + durable + ".*.*.*.*.*",
		"$JS.ACK.*.*." + durable + ".*.*.*.*.*.*",
	}
}

// gate admits connections to the embedded server: the bridge itself, with a key
// made at start that never leaves the process, and the users. Each user is in an
// account of its own, which imports its three requests and nothing else from that
// of the streams. Permissions alone would not do: a pull request names where the
// server publishes what it answers, which it does with rights of its own, so that
// a user beside the streams could have it delete them.
type gate struct {
	server *server.Server
	bridge nkeys.KeyPair
	public string

	mu    sync.Mutex
	users map[string]admission // by public key
}

// admission is what a key is admitted to.
type admission struct {
	account     *server.Account
	permissions *server.Permissions
}

func newGate() (*gate, error) {
	bridge, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make the bridge's own key: %w", err)
	}
	public, err := bridge.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("make the bridge's own key: %w", err)
	}
	return &gate{bridge: bridge, public: public}, nil
}

// option authenticates the bridge's own connections.
func (g *gate) option() nats.Option {
	return nats.Nkey(g.public, g.bridge.Sign)
}

// Check is server.Authentication.
func (g *gate) Check(c server.ClientAuthentication) bool {
	of := c.GetOpts()
	if c.Kind() != server.CLIENT || !signed(of.Nkey, of.Sig, c.GetNonce()) {
		return false
	}
	if of.Nkey == g.public {
		c.RegisterUser(&server.User{Username: "jethook"})
		return true
	}
	g.mu.Lock()
	to, known := g.users[of.Nkey]
	g.mu.Unlock()
	if known {
		c.RegisterUser(&server.User{Username: to.account.Name, Account: to.account, Permissions: to.permissions})
	}
	return known
}

// signed reports whether the owner of the key has signed the nonce. Clients write
// the signature in either of two forms of base64.
func signed(public, signature string, nonce []byte) bool {
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		raw, err = base64.StdEncoding.DecodeString(signature)
	}
	if err != nil || len(nonce) == 0 {
		return false
	}
	key, err := nkeys.FromPublicKey(public)
	return err == nil && key.Verify(nonce, raw) == nil
}

func checkUsers(list []User) error {
	for _, user := range list {
		for _, key := range user.NKeys {
			if !nkeys.IsValidPublicUserKey(key) {
				return fmt.Errorf("subscriber %q: nkey is not the public key of a user (U…): make one with `nk -gen user -pubout`", user.Name)
			}
		}
	}
	return nil
}

// set replaces the users.
func (g *gate) set(list []User) error {
	users := make(map[string]admission)
	for _, user := range list {
		account, err := g.account(user)
		if err != nil {
			return fmt.Errorf("account of subscriber %s/%s: %w", user.Env, user.Name, err)
		}
		for _, key := range user.NKeys {
			if _, taken := users[key]; !taken { // the file's come first
				users[key] = admission{account, user.permissions()}
			}
		}
	}
	g.mu.Lock()
	before := g.users
	g.users = users
	g.mu.Unlock()
	return g.disconnect(func(key string) bool {
		now, known := users[key]
		return before[key].account != nil && (!known || now.account != before[key].account)
	})
}

// account returns the user's account, which stays as long as the process runs:
// nobody without a key gets in.
func (g *gate) account(of User) (*server.Account, error) {
	account, isNew := g.server.LookupOrRegisterAccount("subscriber_" + string(of.Env) + "_" + of.Name)
	if !isNew {
		return account, nil
	}
	for _, subject := range PublishSubjects(of.Env, of.Name)[:3] {
		if err := account.AddServiceImport(g.server.GlobalAccount(), subject, subject); err != nil {
			return nil, fmt.Errorf("import %s: %w", subject, err)
		}
	}
	return account, nil
}

// MaxPullExpiry is how long a subscriber's request for events may wait. It is less
// than answerTime.
const MaxPullExpiry = time.Minute

const (
	// answerTime is how long the server remembers where the answers to a request
	// for events go. It does so while the client listens there, for 300 bytes each.
	answerTime = 90 * time.Second
	// maxAnswers bounds the requests that are remembered, to some 300 MB.
	maxAnswers = 1_000_000
	// crowdPause is between two looks at how many there are.
	crowdPause = time.Second
)

// export offers accounts of users what they import. A request for events has many
// answers.
func (g *gate) export() error {
	const next = "$JS.API.CONSUMER.MSG.NEXT.*.*"
	of := g.server.GlobalAccount()
	return errors.Join(
		of.AddServiceExport("$JS.API.CONSUMER.INFO.*.*", nil),
		of.AddServiceExportWithResponse(next, server.Streamed, nil),
		of.SetServiceExportResponseThreshold(next, answerTime),
		of.AddServiceExport("$JS.ACK.*.*.*.*.*.*.*", nil),
	)
}

// guard disconnects who asks for more than the server can remember, until ctx ends.
func (g *gate) guard(ctx context.Context, logger *slog.Logger) {
	ticker := time.NewTicker(crowdPause)
	defer ticker.Stop()
	var sent map[uint64]int64 // at the last look, by connection
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		pending := g.server.GlobalAccount().NumPendingAllResponses()
		if pending <= maxAnswers/2 {
			sent = nil
			continue
		}
		busiest, now, err := g.busiest(sent)
		if err == nil && sent != nil && pending > maxAnswers && busiest.Cid != 0 {
			logger.Warn("subscriber sends more requests than can be answered and is disconnected", "account", busiest.Account, "address", busiest.IP)
			err = g.server.DisconnectClientByID(busiest.Cid)
		}
		if err != nil {
			logger.Warn("subscriber that sends too many requests cannot be disconnected", "error", err)
		}
		sent = now
	}
}

// busiest is the user's connection that has sent the most since another look, which
// returned how much each had sent until then.
func (g *gate) busiest(sent map[uint64]int64) (busiest server.ConnInfo, now map[uint64]int64, err error) {
	connections, err := g.server.Connz(&server.ConnzOptions{Username: true, Limit: maxConnections})
	if err != nil {
		return busiest, nil, err
	}
	now = make(map[uint64]int64)
	most := int64(0)
	for _, c := range connections.Conns {
		now[c.Cid] = c.InMsgs
		if more := c.InMsgs - sent[c.Cid]; c.AuthorizedUser != g.public && more > most {
			busiest, most = *c, more
		}
	}
	return busiest, now, nil
}

// disconnect ends the connections of some keys.
func (g *gate) disconnect(gone func(key string) bool) error {
	connections, err := g.server.Connz(&server.ConnzOptions{Username: true, Limit: maxConnections})
	if err != nil {
		return err
	}
	for _, c := range connections.Conns {
		if gone(c.AuthorizedUser) {
			err = errors.Join(err, g.server.DisconnectClientByID(c.Cid))
		}
	}
	return err
}

func (u User) permissions() *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: PublishSubjects(u.Env, u.Name)},
		Subscribe: &server.SubjectPermission{Allow: []string{InboxPrefix(u.Name) + ".>"}},
	}
}
