package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jethook/jethook/api"
)

// jethook runs the command against the bridge's API and returns what it wrote.
func (b *bridge) jethook(args ...string) (stdout, stderr string, code int) {
	b.t.Helper()
	var out, errs bytes.Buffer
	c := exec.CommandContext(b.t.Context(), binary, args...)
	c.Env = append(c.Environ(), "JETHOOK_KEY="+prodKey, "JETHOOK_SERVER="+b.url("admin", ""), "REPLAY_SECRET="+endpointSecret)
	c.Stdout, c.Stderr = &out, &errs
	_ = c.Run() // the code is looked at
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

func TestAReplayCountsWhatItsExpressionAndTheFilterLetThrough(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(to("billing", r.server.URL, signed, `filter: 'name != "3"'`)))
	client := b.manager(prodKey)
	for i := range 10 {
		b.hand("order.paid", fmt.Sprint(i))
	}
	b.post("desk", http.Header{"X-Event": {"order.text"}, "X-Id": {"text"}}, []byte("no JSON")).accepted(t)
	r.of(9)
	dry := done[api.Replay](t)(client.CreateReplay(t.Context(), api.ReplaySpec{Endpoint: "billing", Where: `name in ["2", "3", "4"]`, DryRun: true}))
	if dry.Count != 11 || dry.LookedAt == nil || *dry.LookedAt != 11 || *dry.Matching != 2 || *dry.Unfit != 1 {
		t.Errorf("counted %+v; want 2 and 1 unfit of 11", dry)
	}
	if out, _, code := b.jethook("replay", "--endpoint", "billing", "--where", `name in ["2", "3", "4"]`, "--dry-run"); code != 0 ||
		!strings.Contains(out, "2 of 11 events would be delivered to billing again; on 1 more") {
		t.Errorf("the command ends with %d and says %s", code, out)
	}
	made := done[api.Replay](t)(client.CreateReplay(t.Context(), api.ReplaySpec{Endpoint: "billing", Where: `name in ["2", "3", "4"]`, Events: []string{"desk.order.paid"}}))
	if made.Count != 10 || *made.Matching != 2 {
		t.Errorf("made %+v; want 2 of 10", made)
	}
	r.of(2)
	if over := replayed(t, client, made.ID); over.State != "done" || *over.Matching != 2 || over.Delivered != 2 || over.Filtered != 8 || over.Failed != 0 {
		t.Errorf("ended as %+v; want 2 delivered and 8 filtered", over)
	}
	r.empty()
	none := done[api.Replay](t)(client.CreateReplay(t.Context(), api.ReplaySpec{Endpoint: "billing", Since: "0s"}))
	if over := replayed(t, client, none.ID); over.State != "done" || over.Count != 0 {
		t.Errorf("a replay of nothing ended as %+v", over)
	}
}

func TestAReplayTellsWhatWasDeliveredFilteredAndFailed(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		if d.header.Get("jethook-replay") != "" && strings.Contains(string(d.body), `"1"`) {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(to("billing", r.server.URL, signed)))
	for i := range 5 {
		b.hand("order.paid", fmt.Sprint(i))
	}
	b.post("desk", http.Header{"X-Event": {"order.text"}, "X-Id": {"text"}}, []byte("no JSON")).accepted(t)
	r.of(6)
	out, notes, code := b.jethook("replay", "--endpoint", "billing", "--where", `name in ["1", "2"]`, "--rate", "50/s")
	if code != 1 || !strings.Contains(out, " done: 6 of 6 events, 1 delivered, 3 filtered, 2 failed") || !strings.Contains(notes, "2 of 6 events failed") {
		t.Errorf("it ended with %d: %s%s", code, out, notes)
	}
	id, _, _ := strings.Cut(out, " ")
	if out, _, _ := b.jethook("replay", "list"); !regexp.MustCompile(`HANDLED +COUNT +DELIVERED +FILTERED +FAILED[^\n]*\n` + id + ` +billing +done +6 +6 +1 +3 +2 `).MatchString(out) {
		t.Errorf("listed as %s", out)
	}
	if out, _, _ := b.jethook("replay", "show", id); !regexp.MustCompile(`(?s)events +desk\.>.*where +name in \["1", "2"\]\nrate +50/s\n.*6 of 6 events, 1 delivered, 3 filtered, 2 failed`).MatchString(out) {
		t.Errorf("shown as %s", out)
	}
	if _, notes, code := b.jethook("replay", "resume", id); code != 5 || !strings.Contains(notes, "over") {
		t.Errorf("to resume it ends with %d: %s", code, notes)
	}
}

func TestAReplayGoesToAnAddressForOnce(t *testing.T) {
	t.Parallel()
	const events = 20
	refused := func(d delivery) bool { return strings.Contains(string(d.body), `"7"`) }
	r := newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		if refused(d) {
			return http.StatusBadRequest
		}
		return http.StatusOK
	})
	dir := t.TempDir()
	b := startManaged(t, embeddedIn(dir), sources(desk), adminKeys)
	for i := range events {
		b.hand("order.paid", fmt.Sprint(i))
	}
	b.hand("other", "x")
	out, notes, code := b.jethook("replay", "--to", r.server.URL+"/path_45c48cce", "--events", "desk.order.*", "-o", "json")
	var over api.Replay
	if err := json.Unmarshal([]byte(out), &over); err != nil || code != 1 || !strings.Contains(notes, "1 of 20 events failed") {
		t.Fatalf("it ended with %d: %s%s", code, out, notes)
	}
	if over.State != "done" || over.Count != events || over.Failed != 1 || over.Delivered != events-1 || over.Secret == "" || over.To != r.server.URL {
		t.Errorf("ended as %+v; want %d events of which one failed", over, events)
	}
	if !strings.Contains(notes, over.Secret) {
		t.Errorf("the notes do not tell the secret: %s", notes)
	}
	attempts := map[string]int{}
	for range events + 3 {
		d := r.next()
		d.signedWith(t, over.Secret)
		if "rpl_"+d.header.Get("jethook-replay") != over.ID {
			t.Errorf("a delivery has the replay %q", d.header.Get("jethook-replay"))
		}
		if attempts[d.header.Get("webhook-id")]++; d.header.Get("jethook-attempt") != fmt.Sprint(attempts[d.header.Get("webhook-id")]) {
			t.Errorf("attempt %s is the %d.", d.header.Get("jethook-attempt"), attempts[d.header.Get("webhook-id")])
		}
	}
	r.empty()
	client := b.manager(prodKey)
	if dead := done[api.List[api.Dead]](t)(client.DeadEvents(t.Context(), api.DeadQuery{})); len(dead.Data) > 0 {
		t.Errorf("dead events %+v, want none", dead.Data)
	}
	if shown := done[api.Replay](t)(client.Replay(t.Context(), over.ID)); shown.Secret != "" {
		t.Error("the secret is shown again")
	}
	for _, secret := range []string{over.Secret, "path_45c48cce"} {
		notStored(t, dir, secret)
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
	if out, notes, code := b.jethook("replay", "--to", r.server.URL, "--to-key", "env:REPLAY_SECRET", "--where", `name == "1"`); code != 0 || strings.Contains(notes, "whsec_") {
		t.Errorf("with a secret of its own it ends with %d: %s%s", code, out, notes)
	}
	r.next().signedWith(t, endpointSecret)
	for _, spec := range []api.ReplaySpec{{}, {Endpoint: "a", To: &api.Target{URL: r.server.URL}}, {To: &api.Target{URL: "http://169.254.169.254/"}}, {To: &api.Target{URL: "ftp://a.example"}},
		{To: &api.Target{URL: r.server.URL, Secret: "short"}}} {
		_, err := client.CreateReplay(t.Context(), spec)
		refusedAs(t, err, http.StatusUnprocessableEntity)
	}
}

func TestAReplayToAnAddressGoesOnAfterAKillAndEndsWhereItIsGone(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, delivery) int {
		select {
		case <-gone:
			return http.StatusGone
		default:
			return http.StatusOK
		}
	})
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys)
	const events = 60
	for i := range events {
		b.hand("order.paid", fmt.Sprint(i))
	}
	made := done[api.Replay](t)(b.manager(prodKey).CreateReplay(t.Context(), api.ReplaySpec{To: &api.Target{URL: r.server.URL}, Events: []string{"desk.>"}, Rate: "30/s"}))
	got := map[string]bool{}
	for len(got) < events/4 {
		got[r.next().header.Get("webhook-id")] = true
	}
	b.kill()
	b.run()
	for len(got) < events/2 {
		d := r.next()
		d.signedWith(t, made.Secret)
		got[d.header.Get("webhook-id")] = true
	}
	close(gone)
	if over := replayed(t, b.manager(prodKey), made.ID); over.State != "failed" || !strings.Contains(over.Reason, "410") {
		t.Errorf("ended as %+v, want failed with the reason", over)
	}
}

func TestEventsAreWrittenToAFileAndItGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys)
	var ids []string
	for i := range 20 {
		ids = append(ids, b.hand("order.paid", fmt.Sprint(i)))
	}
	b.hand("other", "x")
	path := filepath.Join(t.TempDir(), "events.jsonl")
	replay := func(args ...string) (after string) {
		t.Helper()
		_, notes, code := b.jethook(append([]string{"replay", "--to-file", path, "--events", "desk.order.paid", "--events", "desk.order.text"}, args...)...)
		found := regexp.MustCompile(`--after (\d+)`).FindStringSubmatch(notes)
		if code != 0 || found == nil {
			t.Fatalf("it ended with %d: %s", code, notes)
		}
		return found[1]
	}
	after := replay()
	if _, notes, code := b.jethook("replay", "--to-file", path); code != 2 || !strings.Contains(notes, "--after") {
		t.Errorf("over a file that is there it ends with %d: %s", code, notes)
	}
	spaced := []byte("{ \"name\": \"<spaced>\" }\n")
	ids = append(ids, b.post("desk", http.Header{"X-Event": {"order.text"}, "X-Id": {"spaced"}, "Content-Type": {"application/json"}}, spaced).accepted(t).ID)
	text := []byte("no <JSON>\x00")
	ids = append(ids, b.post("desk", http.Header{"X-Event": {"order.text"}, "X-Id": {"text"}, "Content-Type": {"text/plain"}}, text).accepted(t).ID)
	replay("--after", after)
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(written), "\n"), "\n")
	if len(lines) != len(ids) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(ids), written)
	}
	for i, line := range lines {
		var e struct {
			SpecVersion, ID, Source, Type, Time, DataContentType, Sequence string

			Data []byte `json:"data_base64"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.SpecVersion != "1.0" || e.ID != ids[i] || e.Source != "/prod/desk" || e.Time == "" || e.Sequence == "" {
			t.Errorf("line %d is %s", i, line)
		}
		want := []byte(fmt.Sprintf(`{"name":"%d"}`, i))
		switch i {
		case len(lines) - 2:
			want = spaced
		case len(lines) - 1:
			want = text
		}
		if !bytes.Equal(e.Data, want) {
			t.Errorf("line %d has another body: %s", i, line)
		}
	}
	out, _, code := b.jethook("replay", "--to-file", "-", "--where", `name == "5" || name == "x"`)
	if code != 0 || strings.Count(out, "\n") != 2 || !strings.Contains(out, ids[5]) {
		t.Errorf("an expression selects, with code %d:\n%s", code, out)
	}
}

func TestReadingOnGoesPageByPageAndWaits(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys)
	client := b.manager(prodKey)
	for i := range 10 {
		b.hand("order.paid", fmt.Sprint(i))
	}
	large := bytes.Repeat([]byte("x"), 600<<10)
	for i := range 3 {
		b.post("desk", http.Header{"X-Event": {"order.large"}, "X-Id": {fmt.Sprint("large", i)}}, large).accepted(t)
	}
	var pages, events int
	for q := (api.ReadQuery{Events: []string{"desk.>"}, Limit: 4, Bodies: true}); ; pages++ {
		page := done[api.Reading](t)(client.Read(t.Context(), q))
		for _, e := range page.Data {
			events++
			if len(e.Body) != e.Size {
				t.Errorf("%s has %d of %d bytes", e.ID, len(e.Body), e.Size)
			}
		}
		if q.After = page.Next; page.Complete {
			break
		}
	}
	if pages < 4 || events != 13 { // 4, 4, 2 and one large, and two more
		t.Errorf("%d events on %d pages, want 13 on at least 4", events, pages)
	}
	last := done[api.Reading](t)(client.Read(t.Context(), api.ReadQuery{After: 13})).Next
	waited := make(chan api.Reading)
	go func() {
		page, _ := client.Read(t.Context(), api.ReadQuery{After: last, Where: `name == "wanted"`, Wait: "25s"})
		waited <- page
	}()
	b.hand("order.paid", "unwanted")
	id := b.hand("order.paid", "wanted")
	if page := <-waited; len(page.Data) != 1 || page.Data[0].ID != id {
		t.Errorf("waited for %+v, want %s", page, id)
	}
	for _, q := range []api.ReadQuery{{Events: []string{"desk"}}, {Where: "name ="}, {Wait: "1h"}, {Limit: 1001}, {Since: "yesterday"}} {
		_, err := client.Read(t.Context(), q)
		refusedAs(t, err, http.StatusUnprocessableEntity)
	}
}
