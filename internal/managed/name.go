package managed

import (
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
)

// nameFor makes a name of an endpoint's address: its host, and something random,
// for the same host may have several.
func nameFor(address string) string {
	host := "endpoint"
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		host = strings.Trim(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '-'
		}, strings.ToLower(u.Hostname())), "-")
	}
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	return host[:min(len(host), 48)] + "-" + hex.EncodeToString(random)
}

// fileNamespace makes the IDs of the file's entries.
var fileNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:jethook:file"))

// FileID is the ID of an entry of the file: a function of its name.
func FileID(kind Kind, env event.Env, name string) uuid.UUID {
	return uuid.NewSHA1(fileNamespace, []byte(string(kind)+"/"+string(env)+"/"+name))
}

// ID is that of the entry, or of the file's.
func (l *Listed[T]) ID() uuid.UUID {
	if l.Entry != nil {
		return l.Entry.ID
	}
	switch c := any(l.Config).(type) {
	case config.Source:
		return FileID(Sources, event.Env(c.Env), c.Name)
	case config.Endpoint:
		return FileID(Endpoints, event.Env(c.Env), c.Name)
	case config.Subscriber:
		return FileID(Subscribers, event.Env(c.Env), c.Name)
	}
	return uuid.Nil
}
