package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/vault"
)

// offices runs two processes that manage one bus behind a trusted proxy.
func offices(t *testing.T, parts ...string) (bus *natsProcess, all [2]*bridge) {
	t.Helper()
	bus = newNATS(t)
	keyset, err := vault.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keyset.json")
	if err := os.WriteFile(file, []byte(keyset), 0o600); err != nil {
		t.Fatal(err)
	}
	parts = append(parts, bus.on(), fmt.Sprintf("encryption: {keyset: %q}", "${file:"+file+"}"))
	for i := range all {
		all[i] = newBridge(t, parts...)
		all[i].overlay("roles: [admin]\nlisten: {admin: \"127.0.0.1:0\", trusted_proxies: [127.0.0.0/8]}\n")
		all[i].run()
	}
	return bus, all
}

// asked lists the keys with a key, from an address.
func (b *bridge) asked(key, from string) answer {
	b.t.Helper()
	return b.askedTo(http.MethodGet, "/v1/keys", key, from, "")
}

func (b *bridge) askedTo(method, path, key, from, body string) answer {
	b.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + key}, "X-Forwarded-For": {from}, "Content-Type": {"application/json"}}
	return b.do(method, b.url("admin", path), header, []byte(body))
}

func TestAKeyThatIsRestrictedRolledOrDeletedIsSoOnEveryReplica(t *testing.T) {
	t.Parallel()
	const near, far = "203.0.113.7", "198.51.100.7"
	bus, all := offices(t, adminKeys)
	first, second := all[0], all[1]
	m := first.manager(prodKey)
	becomes := func(what string, status int, ask func() answer) {
		t.Helper()
		eventually(t, what, func() bool { return ask().status == status })
	}

	key := done[api.Key](t)(m.CreateKey(t.Context(), api.KeySpec{Name: new("deploy"), Allow: &[]string{"203.0.113.0/24"}}))
	becomes("the other replica takes the key", http.StatusOK, func() answer { return second.asked(key.Key, near) })
	second.asked(key.Key, far).refused(t, http.StatusForbidden, "address_refused")
	second.asked(key.Key, near+", "+far).refused(t, http.StatusForbidden, "address_refused") // what stands before is a stranger's word
	first.askedTo(http.MethodPut, "/v1/keys/"+key.ID, key.Key, near, `{"allow": ["198.51.100.0/24"]}`).refused(t, http.StatusUnprocessableEntity, "invalid")
	_, err := first.manager(testKey).UpdateKey(t.Context(), key.ID, api.KeySpec{Name: new("mine")})
	refusedAs(t, err, http.StatusNotFound)

	reading := done[api.Key](t)(m.UpdateKey(t.Context(), key.ID, api.KeySpec{ReadOnly: new(true)}))
	if reading.Name != "deploy" || len(reading.Allow) != 1 || reading.Key != "" {
		t.Errorf("changed to %+v, want the rest as it was", reading)
	}
	becomes("the key reads alone", http.StatusForbidden, func() answer { return second.askedTo(http.MethodPost, "/v1/keys", key.Key, near, "{}") })
	second.asked(key.Key, near).okay(t)

	next := done[api.Key](t)(m.RollKey(t.Context(), key.ID, api.RollKey{ExpiresIn: "0s"}))
	if next.Name != "deploy" || !next.ReadOnly || len(next.Allow) != 1 || next.Key == key.Key {
		t.Errorf("rolled to %+v, want its name and restrictions", next)
	}
	first.asked(key.Key, near).refused(t, http.StatusUnauthorized, "key_expired")
	becomes("the old key has expired there", http.StatusUnauthorized, func() answer { return second.asked(key.Key, near) })
	becomes("the new key works there", http.StatusOK, func() answer { return second.asked(next.Key, near) })
	later := done[api.Key](t)(m.RollKey(t.Context(), next.ID, api.RollKey{ExpiresIn: "1h"}))
	first.asked(next.Key, near).okay(t)

	for _, k := range []api.Key{key, next, later} {
		if err := m.DeleteKey(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
		first.asked(k.Key, near).refused(t, http.StatusUnauthorized, "key_unknown")
		becomes("the deleted key is unknown there", http.StatusUnauthorized, func() answer { return second.asked(k.Key, near) })
	}

	for _, b := range all {
		if code := b.stop(15); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		for _, k := range []api.Key{key, next, later} {
			if strings.Contains(b.log.String(), k.Key) {
				t.Error("the log shows a key")
			}
			notStored(t, bus.dir, k.Key)
		}
	}
}

func TestTheGeneratedKeyGivesWayToOthersAndStaysDeleted(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk))
	var first string
	for _, key := range generatedKey.FindAllString(b.stdout.String(), -1) {
		if strings.HasPrefix(key, "sk_prod_") {
			first = key
		}
	}
	m := b.manager(first)
	list := done[api.List[api.Key]](t)(m.Keys(t.Context(), api.Page{Limit: 100}))
	if len(list.Data) != 1 {
		t.Fatalf("listed %+v, want the one of production", list.Data)
	}
	id := list.Data[0].ID
	refusedAs(t, m.DeleteKey(t.Context(), id), http.StatusConflict)
	next := done[api.Key](t)(m.CreateKey(t.Context(), api.KeySpec{}))
	m = b.manager(next.Key)
	if err := m.DeleteKey(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	refusedAs(t, m.DeleteKey(t.Context(), next.ID), http.StatusConflict)
	b.asked(first, "").refused(t, http.StatusUnauthorized, "key_unknown")
	b.kill()
	b.run()
	b.asked(first, "").refused(t, http.StatusUnauthorized, "key_unknown")
	b.asked(next.Key, "").okay(t)
	if out := b.stdout.String(); strings.Contains(out, "sk_prod_") {
		t.Errorf("a key is generated although there is one: %q", out)
	}
	// The file's keys are valid beside those that were made, and their way back in.
	b.overlay(adminKeys + "\n")
	b.kill()
	b.run()
	if err := b.manager(prodKey).DeleteKey(t.Context(), next.ID); err != nil {
		t.Fatal(err)
	}
	b.asked(next.Key, "").refused(t, http.StatusUnauthorized, "key_unknown")
}

// okay fails the test unless the answer is 200.
func (a answer) okay(t *testing.T) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Errorf("answer %d %s, want 200", a.status, a.body)
	}
}
