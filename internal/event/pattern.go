package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Pattern selects events by source and name: "clink.order.succeeded" one name,
// "clink.order.*" one more token, "chip.>" everything below, ">" everything.
// The first token is the name of the source. A Pattern comes from ParsePattern
// or is AllEvents.
type Pattern string

// AllEvents selects every event of an environment.
const AllEvents Pattern = ">"

// ParsePattern checks a pattern. A wildcard must be a whole token and ">" the
// last one; tokens must not be empty. Other characters stand for themselves,
// as the provider writes them.
func ParsePattern(s string) (Pattern, error) {
	if s == "" {
		return "", errors.New("an event pattern must not be empty")
	}
	if len(s) > MaxTypeLength+64 {
		return "", fmt.Errorf("event pattern is longer than %d bytes", MaxTypeLength+64)
	}
	tokens := strings.Split(s, ".")
	for i, token := range tokens {
		switch {
		case token == "":
			return "", fmt.Errorf("event pattern %q has an empty token", s)
		case token == ">" && i != len(tokens)-1:
			return "", fmt.Errorf("event pattern %q: > must be the last token", s)
		case token != "*" && token != ">" && strings.ContainsAny(token, "*>"):
			return "", fmt.Errorf("event pattern %q: a wildcard must be a whole token", s)
		}
	}
	if len(tokens) == 1 && tokens[0] != ">" {
		return "", fmt.Errorf("event pattern %q names no event: write %q for all events of that source", s, s+".>")
	}
	return Pattern(s), nil
}

// Subject returns the subject that selects the pattern's events in env.
func (p Pattern) Subject(env Env) string {
	b := append([]byte(SubjectRoot+"."), env...)
	for token := range strings.SplitSeq(string(p), ".") {
		b = append(b, '.')
		if token == "*" || token == ">" {
			b = append(b, token...)
		} else {
			b = appendToken(b, token)
		}
	}
	return string(b)
}

// NamesSystem reports whether the pattern asks for jethook's own events by name.
// A wildcard in the place of the source does not: whoever wants every provider's
// events does not want to be told of other endpoints.
func (p Pattern) NamesSystem() bool {
	source, _, _ := strings.Cut(string(p), ".")
	return source == System
}

// Covers reports whether every event that q selects is selected by p too.
func (p Pattern) Covers(q Pattern) bool {
	outer, inner := strings.Split(string(p), "."), strings.Split(string(q), ".")
	for i, token := range outer {
		switch {
		case i >= len(inner):
			return false
		case token == ">":
			return true
		case inner[i] == ">":
			return false
		case token != "*" && token != inner[i]:
			return false
		}
	}
	return len(outer) == len(inner)
}

// Reduce returns the patterns without those that another one covers, sorted.
// The server refuses a consumer whose filters cover one another.
func Reduce(patterns []Pattern) []Pattern {
	sorted := slices.Compact(slices.Sorted(slices.Values(patterns)))
	return slices.DeleteFunc(slices.Clone(sorted), func(p Pattern) bool {
		return slices.ContainsFunc(sorted, func(other Pattern) bool { return other != p && other.Covers(p) })
	})
}
