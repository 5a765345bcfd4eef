package bus

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/jethook/jethook/internal/event"
)

// gauges reads every gauge; one of a stream has its name behind a space.
func gauges(t *testing.T, reader *sdkmetric.ManualReader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			for _, point := range m.Data.(metricdata.Gauge[int64]).DataPoints {
				stream, _ := point.Attributes.Value("stream")
				got[strings.TrimSpace(m.Name+" "+stream.AsString())] = point.Value
			}
		}
	}
	return got
}

func TestTheGaugesSayHowMuchRoomThereIs(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	config := embedded(t.TempDir(), Process)
	config.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("")
	b, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, numbered(1))
	b.storage.look(t.Context())
	got := gauges(t, reader)
	if got["jethook.storage.free"] <= 0 {
		t.Errorf("free space is %d", got["jethook.storage.free"])
	}
	delete(got, "jethook.storage.free")
	if used := got["jethook.storage.used EVENTS_PROD"]; used < 100 || used > 1000 {
		t.Errorf("EVENTS_PROD holds %d bytes, want those of one event", used)
	}
	delete(got, "jethook.storage.used EVENTS_PROD")
	want := map[string]int64{"jethook.storage.limit EVENTS_PROD": 64 << 20, "jethook.storage.limit EVENTS_TEST": 64 << 20,
		"jethook.storage.limit ATTEMPTS": attemptsMaxBytes}
	for _, name := range []string{"EVENTS_TEST", "RETRY", "DEAD", "ATTEMPTS", "EXHAUSTED"} {
		want["jethook.storage.used "+name] = 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gauges (-want +got):\n%s", diff)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := gauges(t, reader); len(got) > 0 {
		t.Errorf("after the end there are gauges: %v", got)
	}
}

func TestALevelIsToldOfOnce(t *testing.T) {
	log := new(logBuffer)
	s := newStorage(nil, slog.New(slog.NewTextHandler(log, nil)), nil)
	for _, step := range []struct {
		full int
		want string // of the line that is logged
	}{
		{79, ""}, {80, "over 80 %"}, {85, ""}, {79, ""}, {81, ""}, {91, "over 90 %"}, {89, ""}, {92, ""},
		{85, "less full again"}, {76, ""}, {75, "less full again"}, {99, "over 90 %"}, {10, "less full again"},
	} {
		before := log.String()
		s.tell("EVENTS_PROD", step.full)
		line := strings.TrimPrefix(log.String(), before)
		if (line == "") != (step.want == "") || !strings.Contains(line, step.want) {
			t.Errorf("at %d %% the log says %q, want %q", step.full, line, step.want)
		}
	}
}

func TestReadinessNotesAStreamThatIsNearlyFull(t *testing.T) {
	b, _, _ := small(t)
	fill(t, b, 0, 83)
	for _, check := range b.Health(t.Context()) {
		if check.Err != nil {
			t.Errorf("%s: %v", check.Name, check.Err)
		}
		want := ""
		if check.Name == "stream "+StreamName(event.Prod) {
			want = fmt.Sprintf("%d %% of nats.stream.max_bytes are used", fullness(t, b))
		}
		if check.Note != want {
			t.Errorf("note of %s: %q, want %q", check.Name, check.Note, want)
		}
	}
}
