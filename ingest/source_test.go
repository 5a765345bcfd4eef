package ingest_test

import (
	"context"
	"math"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/event"
)

func TestAWrongSourceIsRefusedByNameAndChangesNothing(t *testing.T) {
	for want, edit := range map[string]func(*ingest.Source){
		"path segment":        func(s *ingest.Source) { s.Name = "" },
		"one path segment":    func(s *ingest.Source) { s.Name = "a/b" },
		`not "jethook"`:       func(s *ingest.Source) { s.Name = event.System },
		"test nor prod":       func(s *ingest.Source) { s.Env = "" },
		"verifier":            func(s *ingest.Source) { s.Verifier = nil },
		"extractor":           func(s *ingest.Source) { s.Extractor = nil },
		"max body -1":         func(s *ingest.Source) { s.MaxBody = -1 },
		"max body 7340033":    func(s *ingest.Source) { s.MaxBody = 7<<20 + 1 },
		"rate -1":             func(s *ingest.Source) { s.Rate = -1 },
		"rate NaN":            func(s *ingest.Source) { s.Rate = math.NaN() },
		"rate +Inf":           func(s *ingest.Source) { s.Rate = math.Inf(1) },
		"reject status 200":   func(s *ingest.Source) { s.RejectStatus = 200 },
		"public url \"here\"": func(s *ingest.Source) { s.PublicURL = "here" },
		"header to keep":      func(s *ingest.Source) { s.KeepHeaders = []string{"X-Good", "a: b"} },
		"header's name":       func(s *ingest.Source) { s.KeepHeaders = []string{"ä"} },
		"there twice":         func(s *ingest.Source) { s.Name = "stripe" },
	} {
		g := newGateway(t, ingest.Config{}, newSource(t, "stripe", "stripe"))
		wrong := newSource(t, "other", "stripe")
		edit(&wrong)
		err := g.SetSources([]ingest.Source{newSource(t, "stripe", "stripe"), wrong})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "source \""+wrong.Name+"\"") {
			t.Errorf("got error %v, want the name %q and %q", err, wrong.Name, want)
		}
		if a := g.send(stripe(t)); a.status != 200 {
			t.Errorf("%s: the source before got %d, want 200", want, a.status)
		}
	}
}

func TestAHandlerNeedsAPublisherAndSensibleLimits(t *testing.T) {
	for name, config := range map[string]ingest.Config{
		"no publisher":      {},
		"negative timeout":  {Publisher: publisher(accept), Timeout: -1},
		"negative buffered": {Publisher: publisher(accept), MaxBuffered: -1},
	} {
		if _, err := ingest.New(config); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if _, err := ingest.New(ingest.Config{Publisher: publisher(accept)}); err != nil {
		t.Errorf("a publisher alone: %v", err)
	}
}

func TestSourcesAreReplacedAtOnce(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "stripe", "stripe"))
	if err := g.SetSources([]ingest.Source{newSource(t, "clink", "clink")}); err != nil {
		t.Fatal(err)
	}
	if a := g.send(stripe(t)); a.status != 404 {
		t.Errorf("a removed source got %d, want 404", a.status)
	}
}

func TestRetryAfterIsWhenTheRateAllowsTheNext(t *testing.T) {
	at := now
	source := newSource(t, "stripe", "stripe")
	source.Rate = .1
	g := newGateway(t, ingest.Config{Now: func() time.Time { return at }}, source)
	g.send(stripe(t))
	at = now.Add(2500 * time.Millisecond)
	if a := g.send(stripe(t)); a.header.Get("Retry-After") != "8" {
		t.Errorf("Retry-After is %q, want 8: 7.5 seconds rounded up", a.header.Get("Retry-After"))
	}
	at = now.Add(10 * time.Second)
	if a := g.send(stripe(t)); a.status != 200 {
		t.Errorf("after that time got %d, want 200", a.status)
	}
}

func TestABurstOfASecondsWorthIsTaken(t *testing.T) {
	source := newSource(t, "stripe", "stripe")
	source.Rate = 5
	g := newGateway(t, ingest.Config{}, source)
	for i := range 6 {
		want := 200
		if i == 5 {
			want = 429
		}
		if a := g.send(stripe(t)); a.status != want {
			t.Errorf("request %d got %d, want %d", i+1, a.status, want)
		}
	}
}

func TestAReloadDoesNotRefillTheRate(t *testing.T) {
	source := newSource(t, "stripe", "stripe")
	source.Rate = .5
	g := newGateway(t, ingest.Config{}, source)
	g.send(stripe(t))
	source.MaxBody = 1000
	if err := g.SetSources([]ingest.Source{source}); err != nil {
		t.Fatal(err)
	}
	if a := g.send(stripe(t)); a.status != 429 {
		t.Errorf("with the same rate got %d, want 429", a.status)
	}
	source.Rate = .6
	if err := g.SetSources([]ingest.Source{source}); err != nil {
		t.Fatal(err)
	}
	if a := g.send(stripe(t)); a.status != 200 {
		t.Errorf("with a new rate got %d, want 200", a.status)
	}
}

func TestAllowIPsLooksAtTheCallerBehindTheProxy(t *testing.T) {
	source := newSource(t, "stripe", "stripe")
	source.AllowIPs = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("::ffff:198.51.100.0/120")}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, test := range []struct {
		remote, forwarded string
		status            int
	}{
		{"203.0.113.7:1", "", 200},
		{"198.51.100.1:1", "", 200},
		{"[::ffff:203.0.113.7]:1", "", 200},
		{"192.0.2.1:1", "", 403},
		{"192.0.2.1:1", "203.0.113.7", 403},
		{"10.0.0.1:1", "203.0.113.7", 200},
		{"10.0.0.1:1", "203.0.113.7, 192.0.2.1", 403},
		{"10.0.0.1:1", "garbage", 403},
		{"@", "", 403},
	} {
		g := newGateway(t, ingest.Config{TrustedProxies: proxies}, source)
		r := stripe(t)
		r.RemoteAddr = test.remote
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if a := g.send(r); a.status != test.status {
			t.Errorf("%s forwarding for %q got %d, want %d", test.remote, test.forwarded, a.status, test.status)
		}
	}
}

func TestEveryRequestIsAnsweredWhileSourcesChange(t *testing.T) {
	b := openBus(t)
	g := newGateway(t, ingest.Config{Publisher: b}, newSource(t, "stripe", "stripe"))
	requests := make([]*answer, 1000)
	ctx, done := context.WithCancel(t.Context())
	var swapping, sending sync.WaitGroup
	var swaps atomic.Int64
	swapping.Go(func() {
		for ctx.Err() == nil {
			source := newSource(t, "stripe", "stripe")
			source.Rate = float64(100_000 + swaps.Add(1)%2)
			if err := g.SetSources([]ingest.Source{source, newSource(t, "clink", "clink")}); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range requests {
		r := bodied(`{"type":"a","id":` + jsonString(strings.Repeat("x", i+1)) + `}`)(t)
		sending.Go(func() {
			a := g.send(r)
			requests[i] = &a
		})
	}
	sending.Wait()
	done()
	swapping.Wait()
	ids := map[string]bool{}
	for i, a := range requests {
		if a.status != 200 || *a.Duplicate {
			t.Errorf("request %d got %d %s, want 200", i, a.status, a.text)
		}
		ids[a.ID] = true
	}
	if _, events := storedEvents(t, b); len(events) != 1000 || len(ids) != 1000 {
		t.Errorf("%d events are stored under %d ids, want 1000", len(events), len(ids))
	}
	if swaps.Load() == 0 {
		t.Error("the sources never changed")
	}
}
