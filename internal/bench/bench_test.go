package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the tests' binary stand in for the program where it runs parts
// of itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && part(os.Args[1]) != nil {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

var tiny = []string{"-rounds", "1", "-seconds", "0.2", "-connections", "8", "-events", "200", "-endpoints", "100", "-backlog", "400", "-replay", "400", "-retries", "10000"}

func TestARunPrintsEveryRow(t *testing.T) {
	ctx := t.Context()
	if end, bounded := t.Deadline(); bounded { // one that hangs is to say where
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-time.Minute))
		defer cancel()
	}
	var stdout bytes.Buffer
	if err := run(ctx, tiny, &stdout, onWrite(func(line string) { t.Log(strings.TrimSpace(line)) })); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		rowHTTP, rowStream, rowProcess, rowPower, rowAlways, rowLoop, rowDressed, rowEndpoint, rowHundreds, rowSingle, rowThousand, rowShort, rowLong, rowStill, rowChurn, rowFirst, rowAgain,
		"n/m", "≥ 0.95", "b/a", "c/b", "d/c", "d/e", "h/f", "h/g", "i/h", "q/h", "j/h", "≥ 0.75", "≥ 10000 /s",
		"p99 of deliveries to 100 endpoints", "beside one that hangs", "beside one that fails",
		"memory when idle", "start to ready", "binary", "static", "SIGTERM to exit with 100 quiet endpoints", "p99 of receiving with 100 quiet endpoints, of that with 10",
		"memory with 10000 waiting retries", "latest of 10000 retries that fall due",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, stdout.String())
		}
	}
}

func TestTheReportForMachinesIsComplete(t *testing.T) {
	r := newReport(settings{rounds: 1})
	paces, rates := map[string][]pace{}, map[string][]float64{rowLoop: {100}, rowDressed: {90}, rowEndpoint: {80}, rowHundreds: {40}, rowSingle: {50}, rowThousand: {20}}
	for i, row := range []string{rowHTTP, rowStream, rowProcess, rowPower, rowAlways} {
		paces[row] = []pace{{perSecond: 100 / float64(i+1), p50: 1500, p99: 1}}
	}
	r.addReceiving(paces)
	r.addDelivering(deliveries{rates, rates})
	r.addFootprint(footprint{memory: []float64{61}, start: []float64{200}, binary: 30})
	r.addQuiet(quiet{endpoints: 50, memory: []float64{601}, start: []float64{15000}, stop: []float64{5000}, slow: []float64{150}})
	var written bytes.Buffer
	if err := r.writeJSON(&written); err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(written.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Speeds) != 11 || len(got.Figures) != 7 || got.Speeds[7].Ratio.Median != 0.8 || got.Speeds[7].Processor != 80 {
		t.Errorf("report %s", written.Bytes())
	}
	want := "c/b is 0.67, the target is at least 0.9\n" +
		"d/e is 1.25, the target is at least 4\n" +
		"h/f is 0.80, the target is at least 0.9\n" +
		"i/h is 0.50, the target is at least 0.7\n" +
		"j is 20 a second, the target is at least 10000\n" +
		"memory when idle is 61 MB, the target is at most 60\n" +
		"the binary is not static\n" +
		"memory with 50 quiet endpoints is 601 MB, the target is at most 600"
	if got := strings.Join(got.Missed, "\n"); got != want {
		t.Errorf("missed:\n%s\nwant:\n%s", got, want)
	}
}

func TestTheBareHandlerTakesWhatTheGeneratorSigns(t *testing.T) {
	refuse := errors.New("full")
	for name, test := range map[string]struct {
		keep    error
		tamper  bool
		refused string
	}{
		"a signed request is taken":             {},
		"a changed body is refused":             {tamper: true, refused: "401"},
		"an answer that is not 2xx is an error": {keep: refuse, refused: "503"},
	} {
		t.Run(name, func(t *testing.T) {
			kept := make(chan int, 20)
			handler := receiveWebhook(func(_ context.Context, _ string, body []byte) error {
				kept <- len(body)
				return test.keep
			})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.tamper {
					r.Body = io.NopCloser(strings.NewReader("{}"))
				}
				handler(w, r)
			}))
			defer server.Close()
			l := load{address: server.Listener.Addr().String(), connections: 2, size: 300}
			err := l.send(t.Context(), 10)
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("error %v, want one with %s", err, test.refused)
				}
				return
			}
			if err != nil || len(kept) != 10 {
				t.Fatalf("%d requests kept, %v; want 10", len(kept), err)
			}
			if size := <-kept; size != 300 {
				t.Errorf("a body of %d bytes, want 300", size)
			}
		})
	}
}

func TestAnInterruptedRunLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	progress := onWrite(func(line string) {
		if strings.HasPrefix(line, "receiving") {
			cancel()
		}
	})
	if err := run(ctx, tiny, io.Discard, progress); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

type onWrite func(string)

func (f onWrite) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

func TestFlagsThatMeanNothingAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-size", "10"}, {"-events", "1"}, {"-seconds", "0"}, {"-endpoints", "0"}, {"serve-all"}, {"-unknown"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
