package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/caller"
	"github.com/jethook/jethook/internal/event"
)

func TestARequestNeedsAKey(t *testing.T) {
	d := newDesk(t)
	for name, c := range map[string]struct {
		header []string
		status int
		code   string
	}{
		"no key":                      {nil, 401, "key_missing"},
		"another scheme":              {[]string{"Authorization", "Basic " + prodKey}, 401, "key_missing"},
		"a wrong key":                 {[]string{"Authorization", "Bearer sk_prod_wrong"}, 401, "key_unknown"},
		"a key cut short":             {[]string{"X-API-KEY", prodKey[:len(prodKey)-1]}, 401, "key_unknown"},
		"an old timestamp":            {[]string{"X-API-KEY", prodKey, "X-Timestamp", strconv.FormatInt(time.Now().Add(-6*time.Minute).UnixMilli(), 10)}, 401, "timestamp_expired"},
		"a timestamp of the future":   {[]string{"X-API-KEY", prodKey, "X-Timestamp", strconv.FormatInt(time.Now().Add(6*time.Minute).UnixMilli(), 10)}, 401, "timestamp_expired"},
		"a timestamp that is no time": {[]string{"X-API-KEY", prodKey, "X-Timestamp", "yesterday"}, 401, "timestamp_expired"},
		"in seconds":                  {[]string{"X-API-KEY", prodKey, "X-Timestamp", strconv.FormatInt(time.Now().Unix(), 10)}, 401, "timestamp_expired"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/v1/events", "/v1/nothing"} {
				w := d.ask(http.MethodGet, path, "", "", c.header...)
				d.refused(w, c.status, c.code)
				if w.Header().Get("WWW-Authenticate") == "" {
					t.Error("WWW-Authenticate is missing")
				}
			}
		})
	}
	for name, header := range map[string][]string{
		"bearer": {"Authorization", "Bearer " + prodKey}, "any case": {"Authorization", "bearer " + prodKey}, "header": {"X-API-KEY", prodKey},
		"in its time": {"X-API-KEY", prodKey, "X-Timestamp", strconv.FormatInt(time.Now().Add(-4*time.Minute).UnixMilli(), 10)},
	} {
		if w := d.ask(http.MethodGet, "/v1/events", "", "", header...); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s, want 200", name, w.Code, w.Body)
		}
	}
	d.SetKeys(nil)
	d.refused(d.ask(http.MethodGet, "/v1/events", prodKey, ""), 401, "key_unknown")
}

func TestAnAddressThatGuessesIsNotListenedTo(t *testing.T) {
	d := newDesk(t)
	now := time.Now()
	d.now = func() time.Time { return now }
	for n := range failureBurst {
		d.refused(d.ask(http.MethodGet, "/v1/events", fmt.Sprintf("sk_prod_%d", n), ""), 401, "key_unknown")
	}
	w := d.ask(http.MethodGet, "/v1/events", prodKey, "")
	d.refused(w, 429, "too_many_failures")
	if seconds, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || seconds < 1 || seconds > 3 {
		t.Errorf("Retry-After %q, want 1 to 3 seconds", w.Header().Get("Retry-After"))
	}
	now = now.Add(failureEvery)
	if w := d.ask(http.MethodGet, "/v1/events", prodKey, ""); w.Code != http.StatusOK {
		t.Errorf("after Retry-After: %d %s, want 200", w.Code, w.Body)
	}
}

func TestWhatIsRememberedOfAddressesIsBounded(t *testing.T) {
	f, now := newFailures(), time.Now()
	first := network(caller.Peer(&http.Request{RemoteAddr: "10.0.0.1:1"}))
	f.of(first, now).AllowN(now, failureBurst)
	for n := range 2 * maxAddresses {
		f.of(network(caller.Peer(&http.Request{RemoteAddr: fmt.Sprintf("[2001:db8:%x:%x::1]:1", n>>16, n&0xffff)})), now)
	}
	if len(f.limits) > maxAddresses {
		t.Errorf("%d addresses are remembered, want %d at most", len(f.limits), maxAddresses)
	}
	if blocked(f.of(first, now), now) == 0 {
		t.Error("an address that has guessed was forgotten")
	}
}

func TestAKeySeesItsEnvironmentAlone(t *testing.T) {
	d := newDesk(t)
	prod, test := d.publish(event.Prod, "order.paid", "1"), d.publish(event.Test, "order.paid", "2")
	for _, c := range []struct {
		key      string
		own, not *event.Event
	}{{prodKey, prod, test}, {testKey, test, prod}} {
		list := read[api.List[api.Event]](d, http.MethodGet, "/v1/events", c.key, "")
		if len(list.Data) != 1 || list.Data[0].ID != string(c.own.ID) {
			t.Errorf("%.8s lists %v, want %s alone", c.key, list.Data, c.own.ID)
		}
		for _, path := range []string{"", "/body", "/attempts"} {
			if w := d.ask(http.MethodGet, "/v1/events/"+string(c.own.ID)+path, c.key, ""); w.Code != http.StatusOK {
				t.Errorf("%.8s %s: %d %s, want 200", c.key, path, w.Code, w.Body)
			}
			d.refused(d.ask(http.MethodGet, "/v1/events/"+string(c.not.ID)+path, c.key, ""), 404, "not_found")
		}
		d.refused(d.ask(http.MethodPost, "/v1/events/"+string(c.not.ID)+"/resend", c.key, `{"endpoint":"billing"}`), 404, "not_found")
	}
	d.refused(d.ask(http.MethodPost, "/v1/endpoints/ledger/pause", testKey, ""), 404, "not_found")
	d.refused(d.ask(http.MethodPost, "/v1/events/"+string(test.ID)+"/resend", testKey, `{"endpoint":"ledger"}`), 404, "not_found")
}

func TestAWrongRequestIsRefusedWithItsField(t *testing.T) {
	d := newDesk(t)
	e := d.publish(event.Prod, "order.paid", "1")
	for _, c := range []struct {
		method, path, body string
		status             int
		code, field        string
	}{
		{"GET", "/v1/events?limit=0", "", 422, "invalid", "query.limit"},
		{"GET", "/v1/events?limit=101", "", 422, "invalid", "query.limit"},
		{"GET", "/v1/events?offset=-1", "", 422, "invalid", "query.offset"},
		{"GET", "/v1/events?since=yesterday", "", 422, "invalid", "query.since"},
		{"GET", "/v1/events?type=a..b", "", 422, "invalid", "query.type"},
		{"GET", "/v1/events?typ=a", "", 422, "invalid", "query.typ"},
		{"GET", "/v1/endpoints?event=shop", "", 422, "invalid", "query.event"},
		{"GET", "/v1/endpoints?enabled=perhaps", "", 422, "invalid", "query.enabled"},
		{"POST", "/v1/events/" + string(e.ID) + "/resend", `{}`, 422, "invalid", "body"},
		{"POST", "/v1/events/" + string(e.ID) + "/resend", `{"endpoint":"billing","other":1}`, 422, "invalid", "body.other"},
		{"POST", "/v1/events/" + string(e.ID) + "/resend", `{"endpoint":`, 400, "bad_request", ""},
		{"POST", "/v1/events/" + string(e.ID) + "/resend", `{"endpoint":"` + strings.Repeat("x", maxBody) + `"}`, 413, "body_too_large", ""},
		{"GET", "/v1/nothing", "", 404, "not_found", ""},
		{"GET", "/", "", 404, "not_found", ""},
		{"PUT", "/v1/events", "", 405, "method_not_allowed", ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			p := d.refused(d.ask(c.method, c.path, prodKey, c.body), c.status, c.code)
			if c.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != c.field || p.Errors[0].Message == "") {
				t.Errorf("errors %v, want one of %s", p.Errors, c.field)
			}
		})
	}
}

func TestARequestThatItsClientHasLeftIsNoError(t *testing.T) {
	d := newDesk(t)
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events/read?wait=20s", nil)
	r.Header.Set("Authorization", "Bearer "+prodKey)
	leave()
	d.ServeHTTP(httptest.NewRecorder(), r)
	if logs := d.logs.String(); strings.Contains(logs, "level=WARN") || !strings.Contains(logs, "status=499") {
		t.Errorf("logged as\n%s", logs)
	}
}

func TestABodyThatDoesNotSayThatItIsJSONIsRefusedWithWhatToSay(t *testing.T) {
	d := newDesk(t)
	w := d.ask(http.MethodPost, "/v1/keys", prodKey, `{"name": "deploy"}`, "Content-Type", "application/x-www-form-urlencoded")
	if p := d.refused(w, http.StatusUnsupportedMediaType, "unsupported_media_type"); !strings.Contains(p.Detail, "application/json") {
		t.Errorf("detail %q, want it to say application/json", p.Detail)
	}
}

func TestAKeyThatIsPastedIntoAPathIsNotLogged(t *testing.T) {
	d := newDesk(t)
	for _, path := range []string{"/v1/events/" + prodKey, "/" + prodKey, "/v1/events?source=" + prodKey, "/v1/endpoints/" + prodKey} {
		w := d.ask(http.MethodGet, path, prodKey, "")
		if strings.Contains(w.Body.String(), "the-key-of-the-tests") {
			t.Errorf("%s: the answer holds the key: %s", path, w.Body)
		}
	}
}
