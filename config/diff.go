package config

import (
	"maps"
	"reflect"
	"slices"
)

// Difference is a key that has not the same value in two entries.
type Difference struct {
	Key string // such as retry.attempts
	// From and To are the values as JSON has them: nil where it is empty, and "***"
	// in place of a secret, even where the two are secrets that differ.
	From, To any
}

// Diff returns what differs between two values of type Source, Endpoint or
// Subscriber, in the order of the keys. Where before is nil, it is an entry of
// defaults.
func Diff(before, after any) []Difference {
	to := reflect.ValueOf(after)
	from := reflect.New(to.Type()).Elem()
	if before == nil {
		setDefaults(from)
	} else {
		from = reflect.ValueOf(before)
	}
	return diffStruct(nil, from, to, "")
}

func diffStruct(found []Difference, from, to reflect.Value, path string) []Difference {
	for _, k := range keysOf(to.Type()) {
		found = diff(found, from.Field(k.field), to.Field(k.field), k, join(path, k.name))
	}
	return found
}

func diff(found []Difference, from, to reflect.Value, k key, path string) []Difference {
	switch {
	case len(keysOf(to.Type())) > 0:
		return diffStruct(found, pointed(from), pointed(to), path)
	case to.Kind() == reflect.Map:
		return diffMap(found, from, to, k, path)
	}
	// What is in the clear is compared, and never returned.
	if reflect.DeepEqual(plainValue(from, k, Secret.Reveal), plainValue(to, k, Secret.Reveal)) {
		return found
	}
	return append(found, Difference{path, plainValue(from, k, Secret.String), plainValue(to, k, Secret.String)})
}

// pointed is what v points to, a zero value where it is nil, and v where it does not
// point.
func pointed(v reflect.Value) reflect.Value {
	switch {
	case v.Kind() != reflect.Pointer:
		return v
	case v.IsNil():
		return reflect.Zero(v.Type().Elem())
	}
	return v.Elem()
}

func diffMap(found []Difference, from, to reflect.Value, k key, path string) []Difference {
	before, _ := plainValue(from, k, Secret.Reveal).(map[string]any)
	after, _ := plainValue(to, k, Secret.Reveal).(map[string]any)
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	shown := func(in map[string]any, name string) any {
		if _, there := in[name]; there {
			return redacted
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if old, is := before[name], after[name]; old != is {
			found = append(found, Difference{join(path, name), shown(before, name), shown(after, name)})
		}
	}
	return found
}
