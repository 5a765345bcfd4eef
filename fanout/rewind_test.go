package fanout

import (
	"errors"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/event"
)

func directory(t *testing.T, r *replica, endpoints ...Endpoint) *Directory {
	t.Helper()
	d := NewDirectory(r.config.Bus, r.config.Vault, r.config.Logger, 0)
	d.SetEndpoints(endpoints)
	return d
}

func rewind(t *testing.T, d *Directory, name string, spec RewindSpec) Rewind {
	t.Helper()
	would, err := d.LookBack(t.Context(), event.Prod, name, spec)
	if err != nil {
		t.Fatal(err)
	}
	if did, err := d.Rewind(t.Context(), event.Prod, name, would); err != nil || did != would {
		t.Fatalf("rewound by %+v, %v; want what was counted, %+v", did, err, would)
	}
	return would
}

func TestAnEndpointIsRewoundAwakeAndAsleep(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to := newReceiver(t)
	publish(t, b, "order.before", "other.before")
	e := endpoint(t, "billing", to.url, "shop.order.>")
	r.apply(t, []Endpoint{e})
	d := directory(t, r, e)
	publish(t, b, "order.a", "other.a", "order.b")
	to.wants(t, "order.a", "order.b")
	eventually(t, "all is settled", func() bool { return waits(durable(t, b, "billing").CachedInfo()) == 0 })
	for range 2 {
		for _, step := range []struct {
			spec RewindSpec
			want []string
		}{
			{RewindSpec{Sequence: 4}, []string{"order.b"}},
			{RewindSpec{Since: time.Now().Add(-time.Hour)}, []string{"order.before", "order.a", "order.b"}},
			{RewindSpec{Beginning: true}, []string{"order.before", "order.a", "order.b"}},
		} {
			if did := rewind(t, d, "billing", step.spec); int(did.Count) != len(step.want) || did.Last != 5 {
				t.Errorf("rewound by %+v, want %d events up to 5", did, len(step.want))
			}
			to.wants(t, step.want...)
			eventually(t, "all is settled", func() bool { return waits(durable(t, b, "billing").CachedInfo()) == 0 })
		}
		r.dozes(t, "billing")
	}
}

func TestARewindingIsOfWhatWasAgreed(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to := newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.>")
	r.apply(t, []Endpoint{e})
	d := directory(t, r, e)
	publish(t, b, "a", "b", "c")
	to.wants(t, "a", "b", "c")
	would, err := d.LookBack(t.Context(), event.Prod, "billing", RewindSpec{Beginning: true})
	if err != nil || would.Count != 3 {
		t.Fatalf("counted %+v, %v; want 3", would, err)
	}
	publish(t, b, "d") // which changes nothing of what was agreed
	to.wants(t, "d")
	wrong := would
	wrong.Count++
	if now, err := d.Rewind(t.Context(), event.Prod, "billing", wrong); !errors.Is(err, ErrRewindChanged) || now != would {
		t.Errorf("another count is answered with %+v, %v; want %+v and ErrRewindChanged", now, err, would)
	}
	eventually(t, "all is settled", func() bool { return waits(durable(t, b, "billing").CachedInfo()) == 0 })
	if _, err := d.Rewind(t.Context(), event.Prod, "billing", would); err != nil {
		t.Fatal(err)
	}
	to.wants(t, "a", "b", "c", "d")
}
