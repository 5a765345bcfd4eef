package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
)

// made asks for a key.
func (d *desk) made(path, key, body string) api.Key {
	d.t.Helper()
	made := read[api.Key](d, http.MethodPost, path, key, body)
	if !strings.HasPrefix(made.Key, "sk_prod_") || managed.Mistyped(made.Key) {
		d.t.Fatalf("made a key of %d characters, %+v", len(made.Key), made)
	}
	return made
}

func (d *desk) works(key string, header ...string) {
	d.t.Helper()
	if w := d.ask(http.MethodGet, "/v1/keys", key, "", header...); w.Code != http.StatusOK {
		d.t.Errorf("the key is answered %d %s, want 200", w.Code, w.Body)
	}
}

func TestARolledKeyExpiresWhenItWasTold(t *testing.T) {
	d := newDesk(t)
	now := time.Now()
	d.now = func() time.Time { return now }
	first := d.made("/v1/keys", prodKey, `{"name": "deploy", "read_only": false}`)
	d.works(first.Key)
	later := d.made("/v1/keys/"+first.ID+"/roll", prodKey, `{"expires_in": "24h"}`)
	if later.Name != "deploy" || later.CreatedBy == "" || later.ID == first.ID {
		t.Errorf("rolled to %+v, want another of the name", later)
	}
	d.works(first.Key)
	d.works(later.Key)
	now = now.Add(24 * time.Hour)
	d.refused(d.ask(http.MethodGet, "/v1/keys", first.Key, ""), 401, "key_expired")
	d.works(later.Key)
	last := d.made("/v1/keys/"+later.ID+"/roll", later.Key, "")
	d.refused(d.ask(http.MethodGet, "/v1/keys", later.Key, ""), 401, "key_expired")
	d.works(last.Key)
	for _, expiry := range []string{"59m", "169h", "-1h", "tomorrow"} {
		d.refused(d.ask(http.MethodPost, "/v1/keys/"+last.ID+"/roll", last.Key, `{"expires_in": "`+expiry+`"}`), 422, "invalid")
	}
	if shown := read[api.Key](d, http.MethodGet, "/v1/keys/"+last.ID, last.Key, ""); shown.Key != "" || !strings.HasSuffix(shown.Masked, "..."+last.Key[len(last.Key)-4:]) || shown.LastUsed.IsZero() {
		t.Errorf("shown as %+v, want no text, its end and its last use", shown)
	}
}

func TestAKeyIsUsedFromItsAddressesAlone(t *testing.T) {
	d := newDesk(t)
	key := d.made("/v1/keys", prodKey, `{"allow": ["192.0.2.0/24", "2001:db8::7"]}`)
	d.works(key.Key) // httptest asks from 192.0.2.1
	d.works(prodKey)
	d.refused(d.ask(http.MethodPut, "/v1/keys/"+key.ID, key.Key, `{"allow": ["198.51.100.7"]}`), 422, "invalid")
	read[api.Key](d, http.MethodPut, "/v1/keys/"+key.ID, prodKey, `{"allow": ["198.51.100.7"]}`)
	d.refused(d.ask(http.MethodGet, "/v1/keys", key.Key, ""), 403, "address_refused")
	d.refused(d.ask(http.MethodGet, "/v1/keys", key.Key, "", "X-Forwarded-For", "198.51.100.7"), 403, "address_refused")
	d.refused(d.ask(http.MethodPut, "/v1/keys/"+key.ID, prodKey, `{"allow": ["everywhere"]}`), 422, "invalid")
	read[api.Key](d, http.MethodPut, "/v1/keys/"+key.ID, prodKey, `{"allow": []}`)
	d.works(key.Key)
}

func TestAReadOnlyKeyChangesNothing(t *testing.T) {
	d := newDesk(t)
	key := d.made("/v1/keys", prodKey, `{"read_only": true}`)
	d.works(key.Key)
	for method, path := range map[string]string{http.MethodPost: "/v1/keys", http.MethodPut: "/v1/endpoints/ensure", http.MethodDelete: "/v1/keys/" + key.ID} {
		d.refused(d.ask(method, path, key.Key, "{}"), 403, "key_read_only")
	}
}

func TestTheLastFullKeyOfAnEnvironmentStays(t *testing.T) {
	d := newDesk(t)
	shown := map[event.Env]string{}
	generated, err := GeneratedKeys(t.Context(), d.bus, func(event.Env) bool { return true }, func(env event.Env, text string) { shown[env] = text })
	if err != nil {
		t.Fatal(err)
	}
	d.SetKeys(generated)
	first := shown[event.Prod]
	list := read[api.List[api.Key]](d, http.MethodGet, "/v1/keys", first, "")
	if len(list.Data) != 1 || list.Data[0].Env != "prod" {
		t.Fatalf("listed %+v, want the one of production", list.Data)
	}
	id := list.Data[0].ID
	d.refused(d.ask(http.MethodDelete, "/v1/keys/"+id, first, ""), 409, "last_key")
	d.made("/v1/keys", first, `{"read_only": true}`)
	d.made("/v1/keys", first, `{"allow": ["192.0.2.1"]}`)
	d.refused(d.ask(http.MethodDelete, "/v1/keys/"+id, first, ""), 409, "last_key")
	next := d.made("/v1/keys/"+id+"/roll", first, `{"expires_in": "1h"}`)
	if w := d.ask(http.MethodDelete, "/v1/keys/"+id, first, ""); w.Code != http.StatusNoContent {
		t.Errorf("deleted with %d %s", w.Code, w.Body)
	}
	d.refused(d.ask(http.MethodGet, "/v1/keys", first, ""), 401, "key_unknown")
	d.refused(d.ask(http.MethodDelete, "/v1/keys/"+next.ID, next.Key, ""), 409, "last_key")
	d.refused(d.ask(http.MethodGet, "/v1/keys/"+next.ID, shown[event.Test], ""), 404, "not_found")
}

func TestKeysThatAreDeletedAtOnceLeaveAFullOne(t *testing.T) {
	d := newDesk(t)
	keys := make([]api.Key, 8)
	for i := range keys {
		keys[i] = d.made("/v1/keys", prodKey, "{}")
	}
	d.SetKeys(nil)
	statuses := make([]int, len(keys))
	var deleting sync.WaitGroup
	for i, k := range keys {
		deleting.Go(func() {
			switch i % 2 {
			case 0:
				statuses[i] = d.ask(http.MethodDelete, "/v1/keys/"+k.ID, k.Key, "").Code
			default:
				statuses[i] = d.ask(http.MethodPut, "/v1/keys/"+k.ID, k.Key, `{"read_only": true}`).Code
			}
		})
	}
	deleting.Wait()
	left := slices.IndexFunc(statuses, func(status int) bool { return status == http.StatusConflict })
	if left < 0 {
		t.Fatalf("answered %v, want one refused", statuses)
	}
	d.works(keys[left].Key)
	d.made("/v1/keys", keys[left].Key, "{}")
}

func TestAKeyThatIsNotFullIsRenamedWhereNoneIs(t *testing.T) {
	d := newDesk(t)
	key := d.made("/v1/keys", prodKey, `{"allow": ["192.0.2.1"]}`)
	d.SetKeys(nil)
	if shown := read[api.Key](d, http.MethodPut, "/v1/keys/"+key.ID, key.Key, `{"name": "office"}`); shown.Name != "office" {
		t.Errorf("changed to %+v, want it renamed", shown)
	}
	d.refused(d.ask(http.MethodDelete, "/v1/keys/"+key.ID, key.Key, ""), 409, "last_key")
}

func TestTheLastUseOfAKeyIsKeptUntilTheKeyIsDeleted(t *testing.T) {
	d := newDesk(t)
	now := time.Now()
	d.now = func() time.Time { return now }
	first, second := d.made("/v1/keys", prodKey, "{}"), d.made("/v1/keys", prodKey, `{"read_only": true}`)
	stored := func() map[string]time.Time {
		t.Helper()
		d.storeUses(t.Context())
		uses, err := d.bus.KeyUses(t.Context(), event.Prod)
		if err != nil {
			t.Fatal(err)
		}
		return uses
	}
	d.works(first.Key)
	if uses := stored(); !uses[first.ID].Equal(now.Truncate(time.Second)) || len(uses) != 2 {
		t.Errorf("stored %v, want the file's key and %s used now", uses, first.ID)
	}
	d.refused(d.ask(http.MethodPost, "/v1/keys", second.Key, "{}"), 403, "key_read_only")
	if uses := stored(); !uses[second.ID].IsZero() {
		t.Errorf("stored %v, although the request of %s was refused", uses, second.ID)
	}
	if w := d.ask(http.MethodDelete, "/v1/keys/"+first.ID, first.Key, ""); w.Code != http.StatusNoContent {
		t.Fatalf("deleted with %d %s", w.Code, w.Body)
	}
	if uses := stored(); len(uses) != 1 {
		t.Errorf("stored %v, want the file's key alone", uses)
	}
}

func TestRunStoresAtItsEndWhichKeysWereUsed(t *testing.T) {
	d := newDesk(t)
	d.works(prodKey)
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := d.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if uses, err := d.bus.KeyUses(t.Context(), event.Prod); err != nil || len(uses) != 1 {
		t.Errorf("stored %v, %v, want the key that was used", uses, err)
	}
}

func TestKeysAreBounded(t *testing.T) {
	d := newDesk(t)
	shown := map[event.Env]string{}
	generated, err := GeneratedKeys(t.Context(), d.bus, func(event.Env) bool { return true }, func(env event.Env, text string) { shown[env] = text })
	if err != nil {
		t.Fatal(err)
	}
	d.SetKeys(append(generated, parsed(t, prodKey)))
	for n := 0; err == nil; n++ {
		if _, _, err = d.config.Managed.CreateKey(t.Context(), managed.Key{Env: event.Prod}); n > 1000 {
			t.Fatalf("%d keys were made", n)
		}
	}
	d.refused(d.ask(http.MethodPost, "/v1/keys", prodKey, "{}"), 409, "too_many")
	if w := d.ask(http.MethodPost, "/v1/keys", shown[event.Test], "{}"); w.Code != http.StatusCreated {
		t.Errorf("in the other environment: %d %s, want a key", w.Code, w.Body)
	}
	id := generated[slices.IndexFunc(generated, func(k Key) bool { return k.Env == event.Prod })].id()
	read[api.Key](d, http.MethodPut, "/v1/keys/"+id, prodKey, `{"name": "first"}`)
}

func TestAKeyOfTheFileIsTheFiles(t *testing.T) {
	d := newDesk(t)
	list := read[api.List[api.Key]](d, http.MethodGet, "/v1/keys", prodKey, "")
	if len(list.Data) != 1 || list.Data[0].ManagedBy != "file" {
		t.Fatalf("listed %+v, want the file's", list.Data)
	}
	for method, path := range map[string]string{http.MethodPost: "/roll", http.MethodPut: "", http.MethodDelete: ""} {
		body := "{}"
		if method == http.MethodDelete {
			body = ""
		}
		d.refused(d.ask(method, "/v1/keys/"+list.Data[0].ID+path, prodKey, body), 409, "managed_by_file")
	}
}

func TestAMistypedKeyIsRecognised(t *testing.T) {
	text := managed.NewKeyText(event.Prod)
	for i := len("sk_prod_"); i < len(text); i++ {
		if typed := text[:i] + "a" + text[i+1:]; typed != text && !managed.Mistyped(typed) {
			t.Errorf("a wrong character at %d is not recognised", i)
		}
	}
	known := "sk_test_" + strings.Repeat("a", 52) // with a checksum by another program
	if managed.Mistyped(known+"lcbp3i") || !managed.Mistyped(known+"aaaaaa") {
		t.Error("the checksum is not as SECURITY.md has it")
	}
	if managed.Mistyped(text) || managed.Mistyped("sk_prod_a-key-of-the-file") {
		t.Error("a key is taken for mistyped")
	}
}
