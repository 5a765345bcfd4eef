package config

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestADurationReadsWhatItPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "unit")
		want := unit * time.Duration(rapid.Int64Range(0, int64((1<<62)/unit)).Draw(t, "count"))
		if got, err := parseDuration(formatDuration(want)); err != nil || got != want {
			t.Fatalf("parseDuration(%q) = %v, %v, want %v", formatDuration(want), got, err, want)
		}
	})
}

func TestADurationOfTheStandardLibraryIsReadAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.Duration(rapid.Int64Range(1, 1<<62).Draw(t, "nanoseconds"))
		if got, err := parseDuration(want.String()); err != nil || got != want {
			t.Fatalf("parseDuration(%q) = %v, %v, want %v", want, got, err, want)
		}
	})
}

func TestASizeReadsWhatItPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]int64{1, 1e3, 1 << 10, 1e6, 1 << 20, 1e9, 1 << 30, 1 << 40}).Draw(t, "unit")
		want := Size(unit * rapid.Int64Range(0, (1<<52)/unit).Draw(t, "count"))
		if got, err := parseSize(want.String()); err != nil || got != want {
			t.Fatalf("parseSize(%q) = %v, %v, want %v", want, got, err, want)
		}
	})
}

func TestARateReadsWhatItPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := fmt.Sprintf("%d/%s", rapid.IntRange(1, 1<<31-1).Draw(t, "count"), rapid.SampledFrom([]string{"s", "m", "h"}).Draw(t, "per"))
		want, err := ParseRate(text)
		if err != nil {
			t.Fatalf("ParseRate(%q): %v", text, err)
		}
		if got, err := ParseRate(want.String()); err != nil || got != want {
			t.Fatalf("ParseRate(%q) = %v, %v, want %v, as %s", want, got, err, want, text)
		}
	})
}

func TestValuesMeanWhatTheySay(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30d": 720 * time.Hour, "1w": 168 * time.Hour, "1h30m": 90 * time.Minute,
		"1.5s": 1500 * time.Millisecond, "500ms": 500 * time.Millisecond, "1d12h": 36 * time.Hour,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]Size{
		"0": 0, "1B": 1, "1KB": 1000, "1KiB": 1024, "1.5MiB": 1572864, "20GB": 20e9, "20GiB": 20 << 30, "2TiB": 2 << 40,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]Rate{"none": 0, "500/s": 500, "120/m": 2, "36/h": 0.01} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v, want %v a second", text, got, err, want)
		}
	}
}

func TestTheNearestWordIsSuggested(t *testing.T) {
	words := []string{"secrets", "public_keys", "max_body", "rate", "env", "event"}
	for text, want := range map[string]string{
		"secret": "secrets", "secrtes": "secrets", "Secrets": "secrets", "publickeys": "public_keys", "maxbody": "max_body",
		"rat": "rate", "colour": "", "x": "", "evn": "env", "": "",
	} {
		if got := nearest(text, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", text, got, want)
		}
	}
}
