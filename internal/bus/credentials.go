package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Signing is what makes credentials of users of a cluster that has an operator.
type Signing struct {
	Key     []byte // the seed of an account's key; empty makes none
	Account string // the public key of that account; empty is jethook's own
}

// NewNKey makes a user's key: its public half, and the seed, which is secret.
func NewNKey() (public string, seed []byte, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", nil, fmt.Errorf("make an nkey: %w", err)
	}
	if public, err = pair.PublicKey(); err != nil {
		return "", nil, fmt.Errorf("make an nkey: %w", err)
	}
	seed, err = pair.Seed()
	return public, seed, err
}

// signing reads the key of the configuration. Its error quotes nothing.
func (b *Bus) signing() (nkeys.KeyPair, error) {
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(b.config.External.Signing.Key))))
	if err == nil {
		var public string
		if public, err = pair.PublicKey(); err == nil && nkeys.IsValidPublicAccountKey(public) {
			return pair, nil
		}
	}
	return nil, errors.New("nats.signing.key is not the seed of an account's key (SA…): take that of `nsc generate nkey --account`, added to the account with `nsc edit account --sk`")
}

// checkSigning finds at the start what would be found when the first subscriber is
// made.
func (b *Bus) checkSigning() error {
	if len(b.config.External.Signing.Key) == 0 {
		return nil
	}
	pair, err := b.signing()
	if err != nil {
		return err
	}
	pair.Wipe()
	if account := b.Account(); b.config.External.Signing.Account == "" && !nkeys.IsValidPublicAccountKey(account) {
		return fmt.Errorf("nats.signing.key: the account of jethook is %q, and a cluster without an operator takes no signed credentials: remove nats.signing", account)
	}
	return nil
}

// UserJWT returns what the key of a user is admitted by on a cluster with an
// operator, signed, or nothing where no key to sign with was given. It is not
// secret.
func (b *Bus) UserJWT(of User, key string) (string, error) {
	if len(b.config.External.Signing.Key) == 0 {
		return "", nil
	}
	pair, err := b.signing()
	if err != nil {
		return "", err
	}
	defer pair.Wipe()
	claims := jwt.NewUserClaims(key)
	claims.Name = "subscriber " + string(of.Env) + "/" + of.Name
	claims.Permissions.Pub.Allow.Add(PublishSubjects(of.Env, of.Name)...)
	claims.Permissions.Sub.Allow.Add(InboxPrefix(of.Name) + ".>")
	account := b.config.External.Signing.Account
	if account == "" {
		account = b.Account()
	}
	if public, err := pair.PublicKey(); err != nil {
		return "", fmt.Errorf("sign credentials: %w", err)
	} else if public != account {
		claims.IssuerAccount = account
	}
	text, err := claims.Encode(pair)
	if err != nil {
		return "", fmt.Errorf("sign credentials: %w", err)
	}
	return text, nil
}

// Creds returns the text of a credentials file.
func Creds(userJWT string, seed []byte) (string, error) {
	text, err := jwt.FormatUserConfig(userJWT, seed)
	return string(text), err
}

// Account returns the name of the account that jethook is in on a cluster, which
// is a public key where there is an operator; empty where the server does not
// tell, or is embedded.
func (b *Bus) Account() string {
	if b.server != nil {
		return ""
	}
	answer, err := b.consuming.Request("$SYS.REQ.USER.INFO", nil, requestTimeout)
	if err != nil {
		return ""
	}
	var info struct {
		Data struct {
			Account string `json:"account"`
		} `json:"data"`
	}
	_ = json.Unmarshal(answer.Data, &info) // what cannot be read tells nothing
	return info.Data.Account
}

// URL returns where clients connect to, without credentials; empty where they
// cannot.
func (b *Bus) URL() string {
	if b.server == nil {
		to, err := url.Parse(b.consuming.ConnectedUrlRedacted())
		if err != nil {
			return ""
		}
		to.User = nil
		return to.String()
	}
	addr, ok := b.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	to := url.URL{Scheme: "nats", Host: addr.String()}
	if addr.IP.IsUnspecified() {
		to.Host = fmt.Sprintf("localhost:%d", addr.Port)
	}
	if b.tls.Load() != nil {
		to.Scheme = "tls"
	}
	return to.String()
}
