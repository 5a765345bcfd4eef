package signature

import (
	"testing"
	"time"
)

func TestATimeIsReadStrictly(t *testing.T) {
	for _, c := range []struct {
		unit Unit
		text string
		want int64 // milliseconds since 1970
	}{
		{Seconds, "1700000000", 1_700_000_000_000},
		{Seconds, "0", 0},
		{Seconds, "253402300799", 253_402_300_799_000},
		{Milliseconds, "1700000000123", 1_700_000_000_123},
		{Milliseconds, "253402300799999", 253_402_300_799_999},
		{Auto, "1700000000", 1_700_000_000_000},
		{Auto, "1700000000123", 1_700_000_000_123},
		{Auto, "1000000000000", 1_000_000_000_000},
		{"", "1700000000123", 1_700_000_000_123},
		{RFC3339, "2023-11-14T22:13:20Z", 1_700_000_000_000},
		{RFC3339, "2023-11-14T22:13:20.123Z", 1_700_000_000_123},
		{RFC3339, "2023-11-15T00:13:20+02:00", 1_700_000_000_000},
	} {
		got, ok := c.unit.parse(c.text)
		if !ok || got.UnixMilli() != c.want {
			t.Errorf("%s.parse(%q) = %d, %v; want %d, true", c.unit, c.text, got.UnixMilli(), ok, c.want)
		}
	}
}

func TestWhatIsNotATimeIsRefused(t *testing.T) {
	numbers := []string{
		"", " ", "Infinity", "inf", "NaN", "+1", "-1", "1e3", "0x10", "1_000", "1.0", "1.", " 1", "1 ", "1\n", "１", "١",
		"9223372036854775807", "9223372036854775808", "99999999999999999999999", "253402300800000",
	}
	for _, unit := range []Unit{Seconds, Milliseconds, Auto} {
		for _, text := range numbers {
			if got, ok := unit.parse(text); ok {
				t.Errorf("%s.parse(%q) = %s, want it refused", unit, text, got)
			}
		}
	}
	if got, ok := Seconds.parse("253402300800"); ok {
		t.Errorf("s.parse of the year 10000 = %s, want it refused", got)
	}
	for _, text := range []string{
		"", "1700000000", "2023-11-14", "2023-11-14 22:13:20Z", "2023-11-14T22:13:20",
		"2023-02-30T00:00:00Z", "2023-11-14T22:13:20+25:00", " 2023-11-14T22:13:20Z",
	} {
		if got, ok := RFC3339.parse(text); ok {
			t.Errorf("rfc3339.parse(%q) = %s, want it refused", text, got)
		}
	}
}

func TestATimeIsWrittenInItsUnit(t *testing.T) {
	at := time.Date(2023, 11, 14, 23, 13, 20, 987_654_321, time.FixedZone("", 3600))
	for unit, want := range map[Unit]string{
		Seconds: "1700000000", Milliseconds: "1700000000987",
		RFC3339: "2023-11-14T22:13:20Z",
	} {
		if got := unit.format(at); got != want {
			t.Errorf("%q.format = %s, want %s", unit, got, want)
		}
	}
}

func TestWhoSignsWritesSecondsWhereTheUnitIsAuto(t *testing.T) {
	for _, c := range []struct {
		of   Timestamp
		want Unit
	}{
		{Timestamp{}, Seconds},
		{Timestamp{Unit: Auto}, Seconds},
		{Timestamp{Unit: Auto, Writes: Milliseconds}, Milliseconds},
		{Timestamp{Unit: Milliseconds}, Milliseconds},
		{Timestamp{Unit: RFC3339}, RFC3339},
		{Clink().Timestamp, Milliseconds},
		{StandardWebhooks().Timestamp, Seconds},
	} {
		if got := c.of.Written(); got != c.want {
			t.Errorf("%+v is written in %q, want %q", c.of, got, c.want)
		}
	}
}
