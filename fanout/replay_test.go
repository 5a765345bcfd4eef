package fanout

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/vault"
)

// replayOf has what is stored, or of that what is given, delivered to an endpoint again.
func replayOf(t *testing.T, b *bus.Bus, e Endpoint, of ReplaySpec) Replay {
	t.Helper()
	d := NewDirectory(b, vault.New(vault.Config{Bus: b}), slog.New(slog.DiscardHandler), 0)
	d.SetEndpoints([]Endpoint{e})
	of.Endpoint = e.Name
	made, err := d.Replay(t.Context(), event.Prod, of)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// progressed returns a replay as it is shown now.
func progressed(t *testing.T, b *bus.Bus, made Replay) Replay {
	t.Helper()
	d := NewDirectory(b, vault.New(vault.Config{Bus: b}), slog.New(slog.DiscardHandler), 0)
	now, err := d.GetReplay(t.Context(), event.Prod, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// holds reports whether the bus has a consumer of that name, parked or not.
func holds(t *testing.T, b *bus.Bus, name string) bool {
	t.Helper()
	parked, err := b.Parked(bus.StreamName(event.Prod))
	if err != nil {
		t.Fatal(err)
	}
	_, rests := parked[name]
	_, err = b.JetStream().Consumer(t.Context(), bus.StreamName(event.Prod), name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Fatal(err)
	}
	return rests || err == nil
}

func TestTheConsumerOfAReplayThatIsOverIsDeletedAtTheNextStart(t *testing.T) {
	for name, over := range map[string]func(bucket jetstream.KeyValue, of Replay) error{
		"its end was written": func(bucket jetstream.KeyValue, of Replay) error {
			_, err := bucket.PutString(t.Context(), of.key(), `{"id":"`+of.ID+`","env":"prod","state":"done"}`)
			return err
		},
		"its record is gone": func(bucket jetstream.KeyValue, of Replay) error { return bucket.Purge(t.Context(), of.key()) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			to := newReceiver(t)
			e := endpoint(t, "billing", to.url, "shop.>")
			var left Replay
			func() { // a process that ends between the record and the consumer
				b, err := bus.Open(t.Context(), embedded(dir))
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				newReplica(t, b, nil).apply(t, []Endpoint{e})
				publish(t, b, "order.a")
				left = replayOf(t, b, e, ReplaySpec{})
				bucket, err := b.JetStream().KeyValue(t.Context(), bus.Replays)
				if err == nil {
					err = over(bucket, left)
				}
				if err != nil {
					t.Fatal(err)
				}
			}()
			b := openBus(t, dir)
			if !holds(t, b, left.consumer()) {
				t.Fatal("the consumer is not there: the test tests nothing")
			}
			r := newReplica(t, b, nil)
			r.apply(t, []Endpoint{e})
			r.start(t)
			eventually(t, "the consumer is deleted", func() bool { return !holds(t, b, left.consumer()) })
		})
	}
}

func TestTheConsumerOfAReplayThatIsBeingMadeOrNotOverStays(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "replay_billing", "http://127.0.0.1:1", "shop.>") // which has the name of a replay's consumer
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{e})
	publish(t, b, "order.a")
	making, running := replayOf(t, b, e, ReplaySpec{}), replayOf(t, b, e, ReplaySpec{})
	bucket, err := b.JetStream().KeyValue(t.Context(), bus.Replays)
	if err == nil {
		err = bucket.Purge(t.Context(), making.key()) // it is not written yet
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.sweepReplays(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{making.consumer(), running.consumer(), e.Name} {
		if !holds(t, b, name) {
			t.Errorf("consumer %s was deleted", name)
		}
	}
}

func TestAnEventThatAReplayHadHandedOutAtAKillComesAtOnce(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copied")
	again, release := make(chan string, 10), make(chan struct{})
	held := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if req.Header.Get("jethook-replay") == "" {
			again <- "" // the first delivery
			return
		}
		if req.Header.Get("ce-type") == "order.b" {
			select {
			case <-release:
			default:
				held <- struct{}{}
				<-release
				return
			}
		}
		again <- req.Header.Get("ce-type")
	}))
	t.Cleanup(server.Close)
	e := endpoint(t, "billing", server.URL, "shop.>") // whose events come again after 35 seconds
	next := func() string {
		t.Helper()
		select {
		case got := <-again:
			return got
		case <-time.After(patience):
			t.Fatal("nothing was delivered")
			return ""
		}
	}
	var made Replay
	serve(t, dir, e, func(b *bus.Bus, _ *replica) {
		publish(t, b, "order.a", "order.b", "order.c")
		for range 3 {
			next()
		}
		made = replayOf(t, b, e, ReplaySpec{})
		if first, second := next(), next(); first == second || first == "order.b" || second == "order.b" {
			t.Fatalf("%s and %s were delivered again, want order.a and order.c", first, second)
		}
		<-held
		eventually(t, "the two are settled", func() bool {
			c, err := b.JetStream().Consumer(t.Context(), bus.StreamName(event.Prod), made.consumer())
			return err == nil && c.CachedInfo().NumAckPending == 1
		})
		if err := b.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // what is left of a process that is killed now
			t.Fatal(err)
		}
	})
	close(release)
	serve(t, copied, e, func(b *bus.Bus, _ *replica) {
		if got := next(); got != "order.b" {
			t.Errorf("%s was delivered again, want order.b alone", got)
		}
		eventually(t, "the replay is over", func() bool {
			now := progressed(t, b, made)
			return now.State == ReplayDone && now.Handed == 3
		})
	})
	if len(again) != 0 {
		t.Errorf("%s was repeated", <-again)
	}
}

func TestAReplayKeepsCountOverARestart(t *testing.T) {
	dir := t.TempDir()
	var made Replay
	e := endpoint(t, "billing", newReceiver(t).url, "shop.>")
	func() {
		b, err := bus.Open(t.Context(), embedded(dir))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		newReplica(t, b, nil).apply(t, []Endpoint{e})
		publish(t, b, "order.a", "order.b", "order.c")
		made = replayOf(t, b, e, ReplaySpec{})
		c, err := b.JetStream().Consumer(t.Context(), bus.StreamName(event.Prod), made.consumer())
		if err != nil {
			t.Fatal(err)
		}
		take(t, c, 2)
	}()
	b := openBus(t, dir)
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{e})
	woken, _, err := r.wakeReplay(t.Context(), progressed(t, b, made))
	if err != nil {
		t.Fatal(err)
	}
	if now := progressed(t, b, made); now.Handed != 2 || woken.Before != 2 {
		t.Errorf("shown as %+v, want that 2 of 3 are handled", now)
	}
}

func TestTheCountsOfAReplayGoOnOverAnOrderlyRestart(t *testing.T) {
	dir, to := t.TempDir(), newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.>")
	const events = 30
	var made Replay
	serve(t, dir, e, func(b *bus.Bus, _ *replica) {
		for i := range events {
			publish(t, b, fmt.Sprintf("order.e%d", i))
		}
		made = replayOf(t, b, e, ReplaySpec{PerSecond: 20})
		eventually(t, "some are delivered again", func() bool { return progressed(t, b, made).Handed > 5 })
	})
	serve(t, dir, e, func(b *bus.Bus, _ *replica) {
		var now Replay
		eventually(t, "the replay is over", func() bool {
			now = progressed(t, b, made)
			return now.State == ReplayDone
		})
		if now.Delivered != events || now.Filtered != 0 || now.Failed != 0 {
			t.Errorf("ended as %+v, want all %d delivered", now, events)
		}
	})
}

func TestTheEndOfAReplayIsNoAlarm(t *testing.T) {
	for name, end := range map[string]func(d *Directory, of Replay){
		"done": func(*Directory, Replay) {},
		"cancelled": func(d *Directory, of Replay) {
			if _, err := d.SetReplay(t.Context(), event.Prod, of.ID, ReplayCancelled); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := openBus(t, t.TempDir())
			begun := make(chan struct{}, 1)
			release := make(chan struct{})
			to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.Header.Get("jethook-replay") != "" {
					select {
					case begun <- struct{}{}:
					default:
					}
					<-release
				}
			}))
			defer to.Close()
			e := endpoint(t, "billing", to.URL, "shop.>")
			r := newReplica(t, b, nil)
			r.apply(t, []Endpoint{e})
			stop := r.start(t)
			for _, id := range []string{"order.a", "order.b", "order.c"} {
				publish(t, b, id)
			}
			made := replayOf(t, b, e, ReplaySpec{})
			<-begun
			d := NewDirectory(b, vault.New(vault.Config{Bus: b}), slog.New(slog.DiscardHandler), 0)
			end(d, made)
			close(release)
			eventually(t, "the replay is over and its consumer deleted", func() bool {
				return string(progressed(t, b, made).State) == name && !holds(t, b, made.consumer())
			})
			stop()
			if logs := r.logs.String(); strings.Contains(logs, "level=WARN") || strings.Contains(logs, "level=ERROR") {
				t.Errorf("it alarms:\n%s", logs)
			}
		})
	}
}

func TestAReplayOfAnEndpointThatIsNotHeardOfYetWaits(t *testing.T) {
	b, to := openBus(t, t.TempDir()), newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.none")
	r := newReplica(t, b, nil)
	r.apply(t, nil)
	publish(t, b, "order.a", "order.b")
	made := replayOf(t, b, e, ReplaySpec{Events: []event.Pattern{"shop.>"}})
	if err := r.tendReplays(t.Context(), newReplays()); err != nil {
		t.Fatal(err)
	}
	if now := progressed(t, b, made); now.State != ReplayRunning {
		t.Fatalf("it is %s: %s", now.State, now.Reason)
	}
	r.apply(t, []Endpoint{e})
	r.start(t)
	to.wants(t, "order.a", "order.b")
}

func TestAReplayOfAnEndpointThatAnotherProcessHasWaits(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")
	newReplica(t, b, nil).apply(t, []Endpoint{e})
	publish(t, b, "order.a")
	made := replayOf(t, b, e, ReplaySpec{})
	r := newReplica(t, b, nil)
	r.apply(t, nil)
	r.now = func() time.Time { return time.Now().Add(time.Hour) }
	if err := r.tendReplays(t.Context(), newReplays()); err != nil {
		t.Fatal(err)
	}
	if now := progressed(t, b, made); now.State != ReplayRunning {
		t.Errorf("it is %s: %s", now.State, now.Reason)
	}
	if want := "jethook replay cancel " + made.ID; !strings.Contains(r.logs.String(), want) {
		t.Errorf("the log does not say how to end it (%q):\n%s", want, r.logs)
	}
}

func TestAReplayDoesNotGoOnToAnotherEndpointOfTheName(t *testing.T) {
	b, to := openBus(t, t.TempDir()), newReceiver(t)
	earlier, later := endpoint(t, "billing", "http://127.0.0.1:1", "shop.none"), endpoint(t, "billing", to.url, "shop.none")
	earlier.ID, later.ID = "ep_1", "ep_2"
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{earlier})
	publish(t, b, "order.a", "order.b", "order.c")
	of := ReplaySpec{Events: []event.Pattern{"shop.>"}, PerSecond: 0.01}
	early, late := replayOf(t, b, earlier, of), replayOf(t, b, later, of) // of which this process has not heard yet
	all := newReplays()
	defer all.ending.Wait()
	for _, list := range []Endpoint{earlier, later} {
		r.apply(t, []Endpoint{list})
		if err := r.tendReplays(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	if now := progressed(t, b, early); now.State != ReplayFailed || now.Reason != errReplaced.Error() {
		t.Errorf("that of the earlier one is %s: %s", now.State, now.Reason)
	}
	to.next(t)
	if now := progressed(t, b, late); now.over() && now.State != ReplayDone {
		t.Errorf("that of the later one is %s: %s", now.State, now.Reason)
	}
	for _, w := range all.running {
		w.stop(nil)
	}
}

func TestAReplayFollowsItsEndpoint(t *testing.T) {
	b, before, after := openBus(t, t.TempDir()), newReceiver(t), newReceiver(t)
	e := endpoint(t, "billing", before.url, "shop.none")
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{e})
	for i := range 200 {
		publish(t, b, fmt.Sprintf("order.e%d", i))
	}
	r.start(t)
	made := replayOf(t, b, e, ReplaySpec{Events: []event.Pattern{"shop.>"}, PerSecond: 5})
	before.next(t)
	e.URL = after.url
	r.apply(t, []Endpoint{e})
	after.next(t)
	r.apply(t, nil)
	eventually(t, "the replay has failed", func() bool {
		now := progressed(t, b, made)
		return now.State == ReplayFailed && now.Reason == "the endpoint was removed"
	})
}
