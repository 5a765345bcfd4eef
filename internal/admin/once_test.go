package admin

import (
	"net/http"
	"testing"

	"github.com/jethook/jethook/api"
)

func TestARequestWithAnIdempotencyKeyIsMadeOnce(t *testing.T) {
	d := newDesk(t)
	const body = `{"name": "deploy"}`
	first := d.ask(http.MethodPost, "/v1/keys", prodKey, body, "Idempotency-Key", "once")
	again := d.ask(http.MethodPost, "/v1/keys", prodKey, body, "Idempotency-Key", "once")
	if first.Code != http.StatusCreated || again.Code != first.Code || again.Body.String() != first.Body.String() ||
		again.Header().Get("Content-Type") != first.Header().Get("Content-Type") || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("answered %d %s, then %d %s, want the same", first.Code, first.Body, again.Code, again.Body)
	}
	d.refused(d.ask(http.MethodPost, "/v1/keys", prodKey, `{"name": "other"}`, "Idempotency-Key", "once"), 409, "idempotency_key_reused")
	if w := d.ask(http.MethodPost, "/v1/keys", testKey, body, "Idempotency-Key", "once"); w.Code != http.StatusCreated || w.Body.String() == first.Body.String() {
		t.Errorf("in the other environment: %d %s, want a key of its own", w.Code, w.Body)
	}
	other := read[api.Key](d, http.MethodPost, "/v1/keys", prodKey, `{"name": "other"}`)
	if w := d.ask(http.MethodPost, "/v1/keys", other.Key, body, "Idempotency-Key", "once"); w.Code != http.StatusCreated || w.Body.String() == first.Body.String() {
		t.Errorf("with another key: %d %s, want a key of its own", w.Code, w.Body)
	}
	d.refused(d.ask(http.MethodPost, "/v1/keys", prodKey, `{"allow": ["x"]}`, "Idempotency-Key", "wrong"), 422, "invalid")
	d.refused(d.ask(http.MethodPost, "/v1/keys", prodKey, `{"allow": ["x"]}`, "Idempotency-Key", "wrong"), 422, "invalid")
	if list := read[api.List[api.Key]](d, http.MethodGet, "/v1/keys", prodKey, ""); len(list.Data) != 4 {
		t.Errorf("%d keys, want the file's, the one that was made once, the other, and its own", len(list.Data))
	}
}
