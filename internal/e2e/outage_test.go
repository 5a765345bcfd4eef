package e2e

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// mendable is an endpoint that is down until it is mended.
func mendable(mended *atomic.Bool) func(http.ResponseWriter, delivery) int {
	return func(http.ResponseWriter, delivery) int {
		if mended.Load() {
			return http.StatusOK
		}
		return http.StatusBadGateway
	}
}

const opened = "endpoint fails and its events wait"

func TestEventsForADeadEndpointWaitWithoutUsingUpAttempts(t *testing.T) {
	t.Parallel()
	const events = 200
	var mended atomic.Bool
	n, down, up := newNATS(t), newReceiver(t, mendable(&mended)), newReceiver(t, nil)
	b := start(t, n.on(), sources(desk), endpoints(to("down", down.server.URL, signed, soon), to("up", up.server.URL, signed)))
	for i := range events {
		b.hand("order.paid", strconv.Itoa(i))
	}
	up.of(events)
	n.idle("up")
	b.waitLog(opened)
	// Ten in a row, those that were in flight with the tenth, and a probe every
	// few seconds. Without a breaker it would be every event, 20 times a second.
	if used := len(down.deliveries); used > events/4 {
		t.Errorf("%d attempts were used up on %d events, want a few", used, events)
	}
	mended.Store(true)
	taken, first := map[string]bool{}, 0
	for len(taken) < events {
		d := down.next()
		if d.status != http.StatusOK {
			continue
		}
		taken[d.id()] = true
		if d.attempt() == "1" {
			first++
		}
	}
	if first < events*3/4 {
		t.Errorf("%d of %d events were taken at their first attempt, want nearly all", first, events)
	}
	n.idle("down")
	b.waitLog("endpoint takes events again")
}

// toldOf reads what an event of jethook's own says.
func toldOf(t *testing.T, d delivery) (kind string, percent int) {
	t.Helper()
	verifies(t, endpointSecret, d)
	var body struct {
		Type string
		Data struct {
			Endpoint, Env, Since, Reason string
			Percent                      *int
		}
	}
	if err := json.Unmarshal(d.body, &body); err != nil || body.Type != d.header.Get("ce-type") {
		t.Fatalf("body %s of %s: %v", d.body, d.header.Get("ce-type"), err)
	}
	if body.Data.Endpoint != "billing" || body.Data.Env != "prod" {
		t.Errorf("body %s, want it about billing in prod", d.body)
	}
	if kind = strings.TrimPrefix(body.Type, "jethook.endpoint."); kind != "disabled" && body.Data.Since == "" {
		t.Errorf("body %s does not say since when", d.body)
	}
	if body.Data.Percent == nil {
		return kind, -1
	}
	return kind, *body.Data.Percent
}

func TestAnEndpointThatOnlyFailsIsDisabledAfterWarnings(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	r, operators := newReceiver(t, mendable(&mended)), newReceiver(t, nil)
	store := embeddedIn(t.TempDir())
	configured := func(url string) []string {
		return []string{store, sources(desk), endpoints(to("billing", url, signed, soon),
			`{name: operators, url: "`+operators.server.URL+`", events: ["jethook.>"], concurrency: 1, `+signed+`}`)} // in their order
	}
	b := newBridge(t, configured(r.server.URL)...)
	b.overlay("deliver: {disable_after: 5s}\n")
	b.run()
	const events = 30
	for i := range events {
		b.hand("order.paid", strconv.Itoa(i))
	}
	last := -1
	for {
		kind, percent := toldOf(t, operators.next())
		if kind == "disabled" {
			break
		}
		if kind != "failing" || percent <= last {
			t.Fatalf("told %s at %d percent after %d", kind, percent, last)
		}
		last = percent // a machine that is busy may pass one over between two probes
	}
	if last < 50 {
		t.Errorf("disabled after a notice at %d percent, want a warning before", last)
	}
	b.waitLog("endpoint is disabled and its events wait")
	operators.empty()

	mended.Store(true)
	b.reconfigure(configured(r.server.URL + "/new")...)
	taken := map[string]bool{}
	for len(taken) < events {
		if d := r.next(); d.path == "/new" {
			taken[d.id()] = true
		}
	}
}

func TestAnOutageAndItsEndAreToldOnce(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	n, r, operators := newNATS(t), newReceiver(t, mendable(&mended)), newReceiver(t, nil)
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, soon),
		`{name: operators, url: "`+operators.server.URL+`", events: ["jethook.>"], `+signed+`}`))
	for i := range 20 {
		b.hand("order.paid", strconv.Itoa(i))
	}
	if kind, percent := toldOf(t, operators.next()); kind != "failing" || percent != 0 {
		t.Errorf("told %s at %d percent, want failing at 0", kind, percent)
	}
	mended.Store(true)
	if kind, _ := toldOf(t, operators.next()); kind != "recovered" {
		t.Errorf("told %s, want recovered", kind)
	}
	n.idle("billing")
	n.idle("operators")
	operators.empty()
}
