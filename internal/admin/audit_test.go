package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/event"
)

func TestWhoChangesWhatIsAnEventOnTheBus(t *testing.T) {
	d := newDesk(t)
	made := d.made("/v1/keys", prodKey, `{"name": "deploy"}`)
	d.ask(http.MethodGet, "/v1/keys", prodKey, "")                       // changes nothing
	d.ask(http.MethodPost, "/v1/plan", prodKey, `{"endpoints": []}`)     // changes nothing
	d.ask(http.MethodPost, "/v1/keys", prodKey, `{"allow": ["nobody"]}`) // is refused
	read[api.Key](d, http.MethodPut, "/v1/keys/"+made.ID, made.Key, `{"name": "deployment"}`)
	list := read[api.List[api.Event]](d, http.MethodGet, "/v1/events?source=jethook", prodKey, "")
	if len(list.Data) != 2 {
		t.Fatalf("%d events tell of changes, want 2: %+v", len(list.Data), list.Data)
	}
	for i, want := range []changeData{
		{Method: http.MethodPut, Path: "/v1/keys/" + made.ID, Status: 200, Key: made.ID, KeyName: "deploy"},
		{Method: http.MethodPost, Path: "/v1/keys", Status: 201},
	} {
		text := d.ask(http.MethodGet, "/v1/events/"+list.Data[i].ID+"/body", prodKey, "").Body.String()
		var got change
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if want.Key == "" {
			want.Key = got.Data.Key
		}
		want.Env, want.Address, want.RequestID = "prod", "192.0.2.1", got.Data.RequestID
		if got.Data != want || got.Type != list.Data[i].Type || strings.Contains(text, made.Key) {
			t.Errorf("told %s, want %+v", text, want)
		}
	}
}

func TestWhatBecomesOfTakenEventsIsNoChange(t *testing.T) {
	d := newPullDesk(t)
	for name, body := range map[string]string{"extend": `,"by":"1m"`, "nack": `,"reason":"later"`, "ack": ""} {
		d.publish(event.Prod, "order.paid", name)
		taken := read[api.List[api.Taken]](d, http.MethodGet, pullPath+"events?wait=20s&limit=1", prodKey, "").Data
		if len(taken) != 1 {
			t.Fatalf("%d events, want one", len(taken))
		}
		if s := read[api.Settled](d, http.MethodPost, pullPath+name, prodKey, `{"tokens":["`+taken[0].Token+`"]`+body+`}`); s.Count != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if list := read[api.List[api.Event]](d, http.MethodGet, "/v1/events?source=jethook", prodKey, ""); len(list.Data) != 0 {
		t.Errorf("events tell of changes: %+v", list.Data)
	}
}
