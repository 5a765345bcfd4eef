package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

// sizeUnits are in the order in which String tries them.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// errTooLarge is for numbers that fit no register.
var errTooLarge = errors.New("it is too large")

// errForm says that a text has not the form at all; the form's words say the rest.
var errForm = errors.New("")

// parseSize reads a size such as 768KiB, 1.5GiB or 20MB.
func parseSize(text string) (Size, error) {
	if text == "0" {
		return 0, nil
	}
	for _, unit := range sizeUnits {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		value, err := parseDecimal(number)
		if err != nil {
			return 0, err
		}
		if value *= float64(unit.bytes); value >= math.MaxInt64 {
			return 0, errTooLarge
		}
		if value != math.Trunc(value) {
			return 0, errors.New("it is not a whole number of bytes")
		}
		return Size(value), nil
	}
	return 0, errForm
}

// String is the size in the largest unit that divides it.
func (s Size) String() string {
	for _, unit := range sizeUnits {
		if s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return "0"
}

// Rate is a number a second. The zero value is no limit.
type Rate float64

// rateUnits are in the order in which String tries them.
var rateUnits = []struct {
	name    string
	seconds float64
}{{"s", 1}, {"m", 60}, {"h", 3600}}

// ParseRate reads a rate such as 500/s, 100/m or 10/h, or none.
func ParseRate(text string) (Rate, error) {
	if text == "none" {
		return 0, nil
	}
	for _, unit := range rateUnits {
		number, ok := strings.CutSuffix(text, "/"+unit.name)
		if !ok {
			continue
		}
		count, err := strconv.ParseUint(number, 10, 31)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return 0, errTooLarge
		case err != nil:
			return 0, errForm
		case count == 0:
			return 0, errors.New("it would let nothing through; for no limit write none")
		}
		return Rate(float64(count) / unit.seconds), nil
	}
	return 0, errForm
}

// String is the form that ParseRate reads, a whole number of the shortest time.
func (r Rate) String() string {
	for _, unit := range rateUnits {
		count := math.Round(float64(r) * unit.seconds)
		if count > 0 && Rate(count/unit.seconds) == r {
			return strconv.FormatFloat(count, 'f', 0, 64) + "/" + unit.name
		}
	}
	return "none"
}

// Start is where a new endpoint begins in the stream. The zero value is now.
type Start struct {
	Beginning bool      // with the oldest event that is kept
	At        time.Time // with the first event received from then on, unless zero
	Sequence  uint64    // with the event of that place in the stream or the first one after it, unless zero
}

// parseStart reads now, beginning, a sequence or a time in RFC 3339.
func parseStart(text string) (Start, error) {
	switch text {
	case "now":
		return Start{}, nil
	case "beginning":
		return Start{Beginning: true}, nil
	}
	if n, err := strconv.ParseUint(text, 10, 63); err == nil && n > 0 {
		return Start{Sequence: n}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.IsZero() {
		return Start{}, errForm
	}
	return Start{At: at}, nil
}

// String is the form that parseStart reads.
func (s Start) String() string {
	switch {
	case s.Beginning:
		return "beginning"
	case !s.At.IsZero():
		return s.At.Format(time.RFC3339Nano)
	case s.Sequence > 0:
		return strconv.FormatUint(s.Sequence, 10)
	}
	return "now"
}

var durationPart = regexp.MustCompile(`^([0-9]+)(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w)`)

// parseDuration reads a duration such as 30d, 10m, 1h30m or 0: that of
// time.ParseDuration and the units d, 24 hours, and w, 7 days. It has no sign.
func parseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	units := map[string]time.Duration{
		"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond,
		"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}
	if text == "" {
		return 0, errForm
	}
	var total time.Duration
	for rest := text; rest != ""; {
		part := durationPart.FindStringSubmatch(rest)
		if part == nil {
			return 0, errForm
		}
		unit := units[part[3]]
		whole, err := strconv.ParseInt(part[1], 10, 64)
		if err != nil || whole > int64((math.MaxInt64-total)/unit)-1 {
			return 0, errors.New("it is longer than 292 years")
		}
		fraction, _ := strconv.ParseFloat("0"+part[2], 64)
		total += time.Duration(whole)*unit + time.Duration(math.Round(fraction*float64(unit)))
		rest = rest[len(part[0]):]
	}
	return total, nil
}

// formatDuration is the form that parseDuration reads, without units that are
// zero: 10m, not 10m0s.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0"
	case d > day && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// parseDecimal reads digits with at most one point: no sign, exponent, Inf or NaN.
func parseDecimal(text string) (float64, error) {
	if text == "" || strings.Trim(text, "0123456789.") != "" {
		return 0, errForm
	}
	value, err := strconv.ParseFloat(text, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errTooLarge
	case err != nil:
		return 0, errForm
	}
	return value, nil
}
