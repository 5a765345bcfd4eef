package e2e

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/jethook/jethook/api"
)

// chain is what a receiver knows of the order of its events: for each that it has
// got, by jethook-seq, the one before it, or unknown.
type chain map[uint64]uint64

const unknown = math.MaxUint64

// add takes the pair of a delivery. The same event has the same one each time.
func (c chain) add(t *testing.T, header http.Header) {
	t.Helper()
	seq, err := strconv.ParseUint(header.Get("jethook-seq"), 10, 64)
	if err != nil {
		t.Fatalf("jethook-seq %q", header.Get("jethook-seq"))
	}
	previous := uint64(unknown)
	if text := header.Get("jethook-seq-previous"); text != "" {
		if previous, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("jethook-seq-previous %q", text)
		}
	}
	before, came := c[seq]
	if came && previous == unknown {
		return
	}
	if came && before != unknown && before != previous {
		t.Errorf("%d follows %d, and followed %d at an earlier attempt", seq, previous, before)
	}
	c[seq] = previous
}

// missing are the events that precede one which has come, and have not come
// themselves.
func (c chain) missing() (gaps []uint64) {
	for _, previous := range c {
		if _, got := c[previous]; previous != 0 && previous != unknown && !got {
			gaps = append(gaps, previous)
		}
	}
	slices.Sort(gaps)
	return gaps
}

func TestAReceiverProvesThatItHasMissedNothingThroughRestarts(t *testing.T) {
	t.Parallel()
	const each = 40
	r := newReceiver(t, func(w http.ResponseWriter, d delivery) int {
		if d.header.Get("jethook-attempt") == "1" && d.header.Get("webhook-id")[5]%3 == 0 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	store := embeddedIn(t.TempDir())
	config := func(pattern string) string {
		return endpoints("{name: billing, env: prod, url: \"" + r.server.URL + "\", signature: none, events: [" + pattern + "], filter: 'name != \"unwanted\"', " + soon + "}")
	}
	b := start(t, store, sources(desk), config("desk.order.>"))
	wanted := map[string]bool{}
	hand := func(life int) {
		for i := range each {
			wanted[b.hand("order.paid", fmt.Sprint(life, "-", i))] = true
			if i%5 == 0 {
				b.post("desk", http.Header{"X-Event": {"order.paid"}, "X-Id": {fmt.Sprint("unwanted", life, i)}}, []byte(`{"name":"unwanted"}`)).accepted(t)
				if id := b.hand("stock.changed", fmt.Sprint(life, i)); life > 1 {
					wanted[id] = true
				}
			}
		}
	}
	got, pairs := map[string]uint64{}, chain{}
	take := func(missing int) { // until so many of those wanted are
		for len(wanted) > missing {
			d := r.next()
			pairs.add(t, d.header)
			got[d.header.Get("webhook-id")], _ = strconv.ParseUint(d.header.Get("jethook-seq"), 10, 64)
			if d.status == http.StatusOK {
				delete(wanted, d.header.Get("webhook-id"))
			}
		}
	}
	for life := range 4 {
		hand(life)
		take(each / 2)
		if life%2 == 0 {
			b.kill()
		} else if code := b.stop(syscall.SIGTERM); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		if life == 1 {
			b.configure(store, sources(desk), config("desk.>"))
		}
		b.run()
	}
	take(0)
	if len(pairs.missing()) > 0 {
		t.Errorf("events are missing although all have come: %v", pairs.missing())
	}
	follower := map[uint64]bool{}
	for _, previous := range pairs {
		if follower[previous] && previous != unknown {
			t.Errorf("two events follow %d", previous)
		}
		follower[previous] = true
	}
	if !follower[0] {
		t.Error("no event is the first")
	}
	proven := 0
	for id, seq := range got {
		if !follower[seq] {
			continue // the last one, or what follows it is not known
		}
		proven++
		before := pairs[seq]
		delete(pairs, seq)
		if gaps := pairs.missing(); !slices.Equal(gaps, []uint64{seq}) {
			t.Errorf("without %s at %d the receiver finds %v missing", id, seq, gaps)
		}
		pairs[seq] = before
	}
	// The server may drop a message that was on its way when a reading ended.
	if proven < len(got)*9/10 {
		t.Errorf("of %d events %d would be missed, want nearly all", len(got), proven)
	}
}

func TestBetweenReplicasWhatPrecedesAnEventIsTrueOrNotSaid(t *testing.T) {
	t.Parallel()
	const events = 100
	n, r := newNATS(t), newReceiver(t, nil)
	c := startReplicas(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, "signature: none")))
	for i := range events {
		c.bridges[i%2].hand("order.paid", fmt.Sprint(i))
	}
	said := 0
	for range events {
		d := r.next()
		if seq, previous := d.header.Get("jethook-seq"), d.header.Get("jethook-seq-previous"); previous != "" {
			said++
			s, _ := strconv.ParseUint(seq, 10, 64)
			p, _ := strconv.ParseUint(previous, 10, 64)
			if s != p+1 { // every event of the stream is the endpoint's
				t.Errorf("%d is said to follow %d", s, p)
			}
		}
	}
	if said == 0 {
		t.Error("what precedes an event is never said")
	}
}

func TestATakenEventSaysWhatPrecedesIt(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(pulled("warehouse", "1m")))
	for i := range 5 {
		b.hand("order.paid", fmt.Sprint(i))
	}
	got := done[api.List[api.Taken]](t)(b.manager(prodKey).Pull(t.Context(), "warehouse", api.PullQuery{Wait: "20s"}))
	for i, taken := range got.Data {
		if taken.Previous == nil || *taken.Previous != taken.Sequence-1 || i > 0 && *taken.Previous != got.Data[i-1].Sequence {
			t.Errorf("taken %+v, want it to follow the event before", taken)
		}
	}
}
