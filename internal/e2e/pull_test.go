package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"testing"

	"github.com/jethook/jethook/api"
)

// pulled is an endpoint whose events are taken, with what else is said of it.
func pulled(name, timeout string) string {
	return fmt.Sprintf("{name: %s, env: prod, pull: true, events: [desk.>], timeout: %s, concurrency: 8, %s}", name, timeout, soon)
}

// drain takes events and acknowledges them until each of the ids was among them.
func drain(t *testing.T, client func() *api.Client, endpoint string, ids []string) {
	t.Helper()
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	eventually(t, "every event is taken and acknowledged", func() bool {
		got := done[api.List[api.Taken]](t)(client().Pull(t.Context(), endpoint, api.PullQuery{Limit: 5, Wait: "2s"}))
		var tokens []string
		for _, taken := range got.Data {
			tokens = append(tokens, taken.Token)
		}
		if len(tokens) == 0 {
			return len(missing) == 0
		}
		settled := done[api.Settled](t)(client().Ack(t.Context(), endpoint, tokens...))
		over := map[string]bool{}
		for _, token := range settled.Over {
			over[token] = true
		}
		for _, taken := range got.Data {
			if !over[taken.Token] {
				delete(missing, taken.Event.ID)
			}
		}
		return len(missing) == 0
	})
}

// atRest waits until nothing of an endpoint is left to do.
func atRest(t *testing.T, client *api.Client, endpoint string) {
	t.Helper()
	eventually(t, "nothing waits for "+endpoint, func() bool {
		e := done[api.Endpoint](t)(client.Endpoint(t.Context(), endpoint))
		return e.Waiting == 0 && e.Retries == 0 && e.Dead == 0
	})
}

func TestAWorkerThatDiesWithWhatItHasTakenLosesNothing(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(pulled("warehouse", "1s")))
	client := func() *api.Client { return b.manager(prodKey) }
	var ids []string
	for i := range 60 {
		ids = append(ids, b.hand("order.paid", fmt.Sprint(i)))
	}
	dies := done[api.List[api.Taken]](t)(client().Pull(t.Context(), "warehouse", api.PullQuery{Limit: 5, Wait: "20s"}))
	if len(dies.Data) == 0 {
		t.Fatal("nothing is taken")
	}
	drain(t, client, "warehouse", ids)
	for _, taken := range dies.Data {
		attempts := done[api.Attempts](t)(client().Attempts(t.Context(), taken.Event.ID, "warehouse")).Data
		if len(attempts) != 2 || attempts[0].Outcome != "retry" || attempts[0].Error == "" || attempts[1].Outcome != "delivered" {
			t.Errorf("attempts of an event whose worker died: %+v", attempts)
		}
	}
	atRest(t, client(), "warehouse")
}

func TestWhatIsTakenSurvivesAKillOfTheBridge(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(pulled("warehouse", "5m")))
	client := func() *api.Client { return b.manager(prodKey) }
	var ids []string
	for i := range 20 {
		ids = append(ids, b.hand("order.paid", fmt.Sprint(i)))
	}
	held := done[api.List[api.Taken]](t)(client().Pull(t.Context(), "warehouse", api.PullQuery{Limit: 1, Wait: "20s"})).Data
	if len(held) != 1 {
		t.Fatalf("%d taken, want 1", len(held))
	}
	b.kill()
	b.run()
	if settled := done[api.Settled](t)(client().Ack(t.Context(), "warehouse", held[0].Token)); settled.Count != 1 {
		t.Errorf("a token of before the kill: %+v, want it to be good still", settled)
	}
	drain(t, client, "warehouse", ids[1:])
	drain(t, client, "warehouse", nil) // the first one too, where the kill came before its checkpoint
	atRest(t, client(), "warehouse")
}

func TestWhatWasTakenFromOneReplicaIsAcknowledgedAtTheOther(t *testing.T) {
	t.Parallel()
	n := newNATS(t)
	var both [2]*bridge
	for i := range both {
		both[i] = startManaged(t, n.on(), sources(desk), adminKeys, endpoints(pulled("warehouse", "1m")))
	}
	turn := 0
	client := func() *api.Client { turn++; return both[turn%2].manager(prodKey) } // takes from one, acknowledges at the other
	var ids []string
	for i := range 30 {
		ids = append(ids, both[i%2].hand("order.paid", fmt.Sprint(i)))
	}
	drain(t, client, "warehouse", ids)
	atRest(t, client(), "warehouse")
}

func TestAReplayIsTakenLikeWhatIsNew(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys)
	client := func() *api.Client { return b.manager(prodKey) }
	yes := true
	made := done[api.Endpoint](t)(client().CreateEndpoint(t.Context(), api.EndpointSpec{Name: "warehouse", Pull: &yes, Events: []string{"desk.>"}}))
	if !made.Pull || made.Secret != "" || made.URL != "" {
		t.Errorf("made as %+v", made)
	}
	ids := []string{b.hand("order.paid", "1"), b.hand("order.paid", "2")}
	drain(t, client, "warehouse", ids)
	again := done[api.Replay](t)(client().CreateReplay(t.Context(), api.ReplaySpec{Endpoint: "warehouse"}))
	drain(t, client, "warehouse", ids)
	if r := replayed(t, client(), again.ID); r.State != "done" {
		t.Errorf("the replay ended as %+v", r)
	}
	atRest(t, client(), made.ID)
}

func TestTheCommandPullTakesAndAcknowledges(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(pulled("warehouse", "1m")))
	id := b.hand("order.paid", "1")
	command := exec.CommandContext(t.Context(), binary, "endpoints", "pull", "warehouse", "--wait", "20s", "--ack", "-o", "json", "--server", b.url("admin", ""))
	command.Env = append(command.Environ(), "JETHOOK_KEY="+prodKey)
	out, err := command.Output()
	if err != nil || !bytes.Contains(out, []byte(id)) || bytes.Count(out, []byte("\n")) != 1 {
		t.Errorf("output %q, error %v; want the event on one line", out, err)
	}
	atRest(t, b.manager(prodKey), "warehouse")
}
