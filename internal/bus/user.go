package bus

import (
	"fmt"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jethook/jethook/internal/event"
)

// User is a service that consumes one durable with a NATS client of its own.
type User struct {
	// Name is the durable's name; the client's inbox prefix is _INBOX_{Name}.
	Name string
	Env  event.Env
	// NKey is the user's public key (U…).
	NKey string
}

// users are those who may connect to the embedded server: the bridge itself,
// with a key made at start that never leaves the process, and the configured.
type users struct {
	bridge nkeys.KeyPair
	public string

	mu   sync.Mutex
	list []User
}

func newUsers(list []User) (*users, error) {
	bridge, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make the bridge's own key: %w", err)
	}
	public, err := bridge.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("make the bridge's own key: %w", err)
	}
	u := &users{bridge: bridge, public: public}
	return u, u.set(list)
}

func (u *users) set(list []User) error {
	for _, user := range list {
		if !nkeys.IsValidPublicUserKey(user.NKey) {
			return fmt.Errorf("subscriber %q: nkey is not the public key of a user (U…): make one with `nk -gen user -pubout`", user.Name)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.list = list
	return nil
}

// option authenticates the bridge's own connections.
func (u *users) option() nats.Option {
	return nats.Nkey(u.public, u.bridge.Sign)
}

func (u *users) nkeys() []*server.NkeyUser {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := []*server.NkeyUser{{Nkey: u.public}}
	for _, user := range u.list {
		all = append(all, &server.NkeyUser{Nkey: user.NKey, Permissions: user.permissions()})
	}
	return all
}

// permissions are the least with which a client can consume its durable: the
// filter of a durable is in the request that creates it, so creating is not
// among them. Acknowledgements have two forms of subject.
func (u User) permissions() *server.Permissions {
	stream := StreamName(u.Env)
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"$JS.API.CONSUMER.INFO." + stream + "." + u.Name,
			"$JS.API.CONSUMER.MSG.NEXT." + stream + "." + u.Name,
			"$JS.ACK." + stream + "." + u.Name + ".>",
			"$JS.ACK.*.*." + stream + "." + u.Name + ".>",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_" + u.Name + ".>"}},
	}
}
