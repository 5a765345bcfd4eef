package provider

import (
	"fmt"
	"slices"
	"strings"
)

// CheckEvent refuses a name that is not in the catalogue, and suggests the nearest
// one that is. Where the catalogue is empty, every name is right.
func (p Preset) CheckEvent(name string) error {
	if len(p.Catalogue) == 0 || slices.Contains(p.Catalogue, name) {
		return nil
	}
	return p.lacks(name, p.Catalogue)
}

// CheckPattern is CheckEvent for a pattern, without the source before it: one that
// selects no name of the catalogue is refused. Its wildcards are those of
// event.Pattern: * is one token, and > all that follow.
func (p Preset) CheckPattern(pattern string) error {
	if !strings.ContainsAny(pattern, "*>") {
		return p.CheckEvent(pattern)
	}
	if len(p.Catalogue) == 0 {
		return nil
	}
	similar := make([]string, 0, len(p.Catalogue))
	for _, name := range p.Catalogue {
		s := masked(name, pattern)
		if s == pattern {
			return nil
		}
		similar = append(similar, s)
	}
	return p.lacks(pattern, similar)
}

// masked is the name with the wildcards of a pattern in their places: the pattern
// itself where that selects the name, and else one that does and is like it.
func masked(name, pattern string) string {
	tokens, wild := strings.Split(name, "."), strings.Split(pattern, ".")
	last := len(wild) - 1
	for i := range tokens {
		switch {
		case i == last && (wild[i] == ">" || wild[i] == "*" && i < len(tokens)-1):
			tokens[i] = ">"
			return strings.Join(tokens[:i+1], ".")
		case i <= last && wild[i] == "*":
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// lacks says that the sender has no such event, and which of the candidates is
// nearest.
func (p Preset) lacks(name string, candidates []string) error {
	nearest, best := "", max(2, len(name)/2+1)
	for _, candidate := range candidates {
		if d := distance(name, candidate); d < best {
			nearest, best = candidate, d
		}
	}
	if nearest == "" {
		return fmt.Errorf("%s has no event %q", p.Title, name)
	}
	return fmt.Errorf("%s has no event %q; did you mean %q?", p.Title, name, nearest)
}
