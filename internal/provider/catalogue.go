package provider

import (
	"fmt"
	"slices"
)

// CheckEvent refuses a name that is not in the catalogue, and suggests the nearest
// one that is. Where the catalogue is empty, every name is right.
func (p Preset) CheckEvent(name string) error {
	if len(p.Catalogue) == 0 || slices.Contains(p.Catalogue, name) {
		return nil
	}
	nearest, best := "", len(name)/2+1
	for _, candidate := range p.Catalogue {
		if d := distance(name, candidate); d < best {
			nearest, best = candidate, d
		}
	}
	if nearest == "" {
		return fmt.Errorf("%s has no event %q", p.Title, name)
	}
	return fmt.Errorf("%s has no event %q; did you mean %q?", p.Title, name, nearest)
}
