package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/api"
)

func TestAnEndpointIsRewoundWhilePausedAndAfterAKillGetsAllAgain(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(to("billing", r.server.URL, signed)))
	client := b.manager(prodKey)
	var ids []string
	for i := range 10 {
		ids = append(ids, b.hand("order.paid", fmt.Sprint(i)))
	}
	r.of(10)
	would := done[api.Rewind](t)(client.RewindEndpoint(t.Context(), "billing", api.RewindSpec{Since: "1h"}))
	if would.Count != 10 || would.Rewound || would.Confirm == "" {
		t.Errorf("a count answers %+v, want 10 events and how to confirm", would)
	}
	for _, wrong := range []api.RewindSpec{{}, {Since: "1h", Beginning: true}, {Confirm: "10"}, {Confirm: would.Confirm, Beginning: true}, {Since: "yesterday"}} {
		_, err := client.RewindEndpoint(t.Context(), "billing", wrong)
		refusedAs(t, err, http.StatusUnprocessableEntity)
	}
	_, err := client.RewindEndpoint(t.Context(), "billing", api.RewindSpec{Confirm: fmt.Sprintf("%d-%d-%d", would.First, would.Last, would.Count+1)})
	refusedAs(t, err, http.StatusConflict)
	_, err = client.RewindEndpoint(t.Context(), "nobody", api.RewindSpec{Beginning: true})
	refusedAs(t, err, http.StatusNotFound)

	done[api.Endpoint](t)(client.Pause(t.Context(), "billing"))
	if did := done[api.Rewind](t)(client.RewindEndpoint(t.Context(), "billing", api.RewindSpec{Confirm: would.Confirm})); !did.Rewound || did.Count != 10 {
		t.Errorf("rewound as %+v, want 10 events", did)
	}
	b.kill()
	b.run()
	client = b.manager(prodKey)
	eventually(t, "ten wait for it", func() bool {
		return done[api.Endpoint](t)(client.Endpoint(t.Context(), "billing")).Waiting == 10
	})
	_, err = client.RewindEndpoint(t.Context(), "billing", api.RewindSpec{Confirm: would.Confirm}) // it has had none of them now
	refusedAs(t, err, http.StatusConflict)
	r.empty()
	done[api.Endpoint](t)(client.Resume(t.Context(), "billing", api.Resume{}))
	got := r.of(10)
	for _, id := range ids {
		if len(got[id]) != 1 {
			t.Errorf("%s was delivered %d times after the rewinding, want once", id, len(got[id]))
		}
	}
}

func TestTheCommandRewindsWhereItIsToldYes(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys)
	b.hand("order.paid", "before")
	client := b.manager(prodKey)
	made := done[api.Endpoint](t)(client.CreateEndpoint(t.Context(), api.EndpointSpec{Name: "billing", URL: r.server.URL, Events: []string{"desk.>"}}))
	b.hand("order.paid", "after")
	r.next()
	rewind := func(args ...string) (output string, code int) {
		c := exec.Command(binary, append([]string{"endpoints", "rewind", made.Name, "--beginning", "--server", b.url("admin", "")}, args...)...)
		c.Env = append(c.Environ(), "JETHOOK_KEY="+prodKey)
		c.Stdin = new(bytes.Buffer)
		text, _ := c.CombinedOutput() // the code is looked at
		return string(text), c.ProcessState.ExitCode()
	}
	if output, code := rewind(); code != 2 || !strings.Contains(output, "--yes") {
		t.Errorf("where nobody can be asked it ends with %d: %s", code, output)
	}
	if output, code := rewind("--yes"); code != 0 || !strings.Contains(output, "gets 2 events again") {
		t.Errorf("it ends with %d: %s", code, output)
	}
	r.of(2) // also what was stored before it was made
}

func TestAnEndpointThatReplicasShareIsRewoundToBeforeItsBeginning(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, nil)
	b := startManaged(t, n.on(), sources(desk), adminKeys)
	first := b.hand("order.paid", "before")
	b.overlay(endpoints(to("billing", r.server.URL, signed)))
	b.kill()
	b.run()
	second := b.hand("order.paid", "after")
	r.next()
	client := b.manager(prodKey)
	would := done[api.Rewind](t)(client.RewindEndpoint(t.Context(), "billing", api.RewindSpec{Beginning: true}))
	done[api.Rewind](t)(client.RewindEndpoint(t.Context(), "billing", api.RewindSpec{Confirm: would.Confirm}))
	if got := r.of(2); len(got[first]) != 1 || len(got[second]) != 1 {
		t.Errorf("delivered %v, want %s and %s", got, first, second)
	}
	if strings.Contains(b.log.String(), `"level":"ERROR"`) {
		t.Errorf("the log tells of an error")
	}
}

func TestARewindingThatWasCutShortSkipsNothing(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"another replica runs": false, "at the next start": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, r := newNATS(t), newReceiver(t, nil)
			b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed)))
			b.hand("order.paid", "1")
			b.hand("order.paid", "2")
			r.of(2)
			stream := n.stream("EVENTS_PROD")
			if restart {
				b.kill()
			}
			// As far as the process that died had come.
			if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "rewind=billing", AckPolicy: jetstream.AckExplicitPolicy,
				DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 1}); err != nil {
				t.Fatal(err)
			}
			if err := stream.DeleteConsumer(t.Context(), "billing"); err != nil {
				t.Fatal(err)
			}
			if restart {
				b.run()
			}
			r.of(2)
		})
	}
}
