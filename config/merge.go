package config

import "reflect"

// overlay returns base with over laid over it, for a value of type t: mappings
// key by key, lists of entries name by name, and anything else is over's. What
// says nothing (null) changes nothing.
func overlay(t reflect.Type, base, over *node) *node {
	switch {
	case base == nil || base.kind == nullNode:
		return over
	case over == nil || over.kind == nullNode:
		return base
	case base.kind != over.kind:
		return over
	case over.kind == mappingNode:
		return overlayMapping(t, base, over)
	case over.kind == sequenceNode && isNamedList(t):
		return overlayNamed(t, base, over)
	}
	return over
}

func overlayMapping(t reflect.Type, base, over *node) *node {
	merged := *over
	merged.entries = nil
	for _, e := range base.entries {
		if other := over.get(e.name); other != nil {
			k, known := keyOf(t, e.name)
			if !known && t.Kind() == reflect.Struct {
				merged.entries = append(merged.entries, e) // both are reported
				continue
			}
			if !known { // a mapping of the user's own keys
				k.typ = t
			}
			e.value = overlay(k.typ, e.value, other)
		}
		merged.entries = append(merged.entries, e)
	}
	for _, e := range over.entries {
		if _, known := keyOf(t, e.name); base.get(e.name) == nil || !known && t.Kind() == reflect.Struct {
			merged.entries = append(merged.entries, e)
		}
	}
	return &merged
}

func overlayNamed(t reflect.Type, base, over *node) *node {
	merged := *over
	merged.items = append([]*node(nil), base.items...)
	index := map[string]int{}
	for i, item := range merged.items {
		if name := item.get("name"); name != nil {
			index[name.text] = i
		}
	}
	for _, item := range over.items {
		if name := item.get("name"); name != nil {
			if i, ok := index[name.text]; ok {
				merged.items[i] = overlay(t.Elem(), merged.items[i], item)
				delete(index, name.text) // a second one of that file is wrong, and not laid over it
				continue
			}
		}
		merged.items = append(merged.items, item)
	}
	return &merged
}

// isNamedList reports whether lists of type t merge by name.
func isNamedList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && len(keysOf(t.Elem())) > 0
}
