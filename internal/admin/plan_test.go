package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
)

func TestAPlanComparesSecretsAndShowsNone(t *testing.T) {
	d := newDesk(t)
	const spec = `{"name":"shipping","url":"https://shipping.example/?token=hunter2","events":["shop.>"],"headers":{"X-Token":"hunter3"},"secrets":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}`
	keys, err := given([]byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.config.Managed.Create(t.Context(), managed.Endpoints, event.Prod, "", keys); err != nil {
		t.Fatal(err)
	}
	if text := d.ask(http.MethodGet, "/v1/specs?kind=endpoints", prodKey, "").Body.String(); strings.Contains(text, "hunter") || strings.Contains(text, "MfKQ") {
		t.Errorf("a spec shows a secret: %s", text)
	}
	specs := read[api.List[api.Spec]](d, http.MethodGet, "/v1/specs?kind=endpoints", prodKey, "")
	if diff := cmp.Diff([]string{"secrets[0]", "headers.X-Token", "url"}, specs.Data[0].Masked); diff != "" || specs.Data[0].Spec["url"] != "https://shipping.example/?token=xxxxx" {
		t.Errorf("url %v, masked (-want +got):\n%s", specs.Data[0].Spec["url"], diff)
	}
	plan := func(text string) api.Change {
		t.Helper()
		w := d.ask(http.MethodPost, "/v1/plan", prodKey, `{"endpoints":[`+text+`]}`)
		if strings.Contains(w.Body.String(), "hunter") || strings.Contains(w.Body.String(), "C2FV") {
			t.Errorf("a plan shows a secret: %s", w.Body)
		}
		var list api.List[api.Change]
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Data) == 0 {
			t.Fatalf("%s: %v", w.Body, err)
		}
		return list.Data[0]
	}
	if got := plan(spec); got.Action != "unchanged" || got.Fields != nil || got.ETag == "" || got.ManagedBy != "api" {
		t.Errorf("the same: %+v", got)
	}
	for from, to := range map[string]string{"hunter2": "hunter4", "hunter3": "hunter4", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"} {
		if got := plan(strings.Replace(spec, from, to, 1)); got.Action != "update" || len(got.Fields) != 1 {
			t.Errorf("another secret: %+v, want one field that differs", got)
		}
	}
	d.refused(d.ask(http.MethodPost, "/v1/plan", prodKey, `{"endpoints":[{"url":"https://a.example","all_events":true}]}`), 422, "invalid")
	d.refused(d.ask(http.MethodPost, "/v1/plan", prodKey, `{"endpoints":[{"name":"ensure","url":"https://a.example","all_events":true}]}`), 422, "invalid")
	d.refused(d.ask(http.MethodPost, "/v1/plan", prodKey, `{"endpoints":[{"name":"a","tmeout":"1s"}]}`), 422, "invalid")
	d.refused(d.ask(http.MethodGet, "/v1/specs", prodKey, ""), 422, "invalid")
	if found := read[api.List[api.Spec]](d, http.MethodGet, "/v1/specs?kind=endpoints", testKey, ""); len(found.Data) != 0 {
		t.Errorf("the other environment sees %v", found.Data)
	}
}

func TestAPlanTakesALargeDocument(t *testing.T) {
	d := newDesk(t)
	var subscribers []string
	for i := range 2000 {
		subscribers = append(subscribers, fmt.Sprintf(`{"name":"subscriber-%d","events":["shop.order.%d"]}`, i, i))
	}
	list := read[api.List[api.Change]](d, http.MethodPost, "/v1/plan", prodKey, `{"subscribers":[`+strings.Join(subscribers, ",")+`]}`)
	if len(list.Data) != len(subscribers) || list.Data[1999].Action != "create" {
		t.Errorf("%d changes, want %d", len(list.Data), len(subscribers))
	}
	for size, field := range map[int]string{maxBody: "invalid", maxPlan: "body_too_large"} {
		w := d.ask(http.MethodPost, "/v1/plan", prodKey, `{"subscribers":[{"name":"a","nkey":"`+strings.Repeat("x", size)+`"}]}`)
		if !strings.Contains(w.Body.String(), `"code":"`+field+`"`) {
			t.Errorf("%d bytes: %s, want %s", size, w.Body, field)
		}
	}
}

func TestAReplacementIsOfTheStateThatWasRead(t *testing.T) {
	d := newDesk(t)
	if w := d.ask(http.MethodPost, "/v1/subscribers", prodKey, `{"name":"ledger-2","events":["shop.>"]}`); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	etag := d.ask(http.MethodGet, "/v1/subscribers/ledger-2", prodKey, "").Header().Get("ETag")
	w := d.ask(http.MethodPut, "/v1/subscribers/ledger-2?replace=true", prodKey, `{"name":"ledger-2","all_events":true}`, "If-Match", etag)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"events":["\u003e"]`) && !strings.Contains(w.Body.String(), `"events":[">"]`) {
		t.Errorf("%d %s, want all events alone", w.Code, w.Body)
	}
	d.refused(d.ask(http.MethodPut, "/v1/subscribers/ledger-2?replace=true", prodKey, `{"all_events":true}`, "If-Match", etag), 412, "outdated")
}
