package deliver

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jethook/jethook/internal/event"
)

func TestARecordIsWrittenAsEncodingJSONWritesIt(t *testing.T) {
	if n := reflect.TypeFor[Attempt]().NumField(); n != 14 {
		t.Fatalf("a record has %d fields; those that are new are to be written, and drawn here", n)
	}
	times := rapid.Custom(func(t *rapid.T) time.Time {
		at := time.Unix(rapid.Int64Range(-1<<36, 1<<39).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		return rapid.SampledFrom([]time.Time{{}, at, at.UTC()}).Draw(t, "time")
	})
	texts := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.StringMatching(`[ -~]*`), rapid.SampledFrom([]string{"", "<a&b>", "\u2028", "\x7f"}))
	rapid.Check(t, func(t *rapid.T) {
		a := Attempt{
			EventID: event.ID(texts.Draw(t, "event id")), EventType: texts.Draw(t, "type"), Env: event.Env(texts.Draw(t, "env")),
			Endpoint: texts.Draw(t, "endpoint"), Sequence: rapid.Uint64().Draw(t, "sequence"), Number: rapid.Int().Draw(t, "number"),
			At: times.Draw(t, "at"), DurationMS: rapid.Float64().Draw(t, "duration"), Status: rapid.Int().Draw(t, "status"),
			Outcome: Outcome(texts.Draw(t, "outcome")), Error: texts.Draw(t, "error"), Reason: texts.Draw(t, "reason"),
			NextAt: times.Draw(t, "next"), Response: texts.Draw(t, "response"),
		}
		want, refused := json.Marshal(a)
		got, err := a.appendJSON(nil)
		if (err != nil) != (refused != nil) || refused == nil && string(got) != string(want) {
			t.Errorf("written %s, %v; encoding/json writes %s, %v", got, err, want, refused)
		}
	})
}
