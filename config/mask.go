package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// MaskSpec returns the keys of an entry as the management API was given them, with
// "***" in place of each secret, and where those are, such as auth.bearer or
// secrets[0]. Keys that the list does not have are left out.
func MaskSpec(list string, spec map[string]any) (shown map[string]any, masked []string) {
	k, ok := keyOf(reflect.TypeFor[Config](), list)
	if !ok || !isNamedList(k.typ) {
		panic("config: there is no list " + list)
	}
	shown = maskStruct(k.typ.Elem(), spec, "", &masked)
	return shown, masked
}

func maskStruct(t reflect.Type, spec map[string]any, path string, masked *[]string) map[string]any {
	shown := make(map[string]any, len(spec))
	for _, k := range keysOf(t) {
		if value, given := spec[k.name]; given && value != nil {
			shown[k.name] = maskValue(k.typ, value, join(path, k.name), masked)
		}
	}
	return shown
}

func maskValue(t reflect.Type, value any, path string, masked *[]string) any {
	switch below := value.(type) {
	case map[string]any:
		if len(keysOf(t)) > 0 {
			return maskStruct(t, below, path, masked)
		}
		shown := make(map[string]any, len(below))
		for _, name := range slices.Sorted(maps.Keys(below)) {
			shown[name] = maskValue(elem(t), below[name], join(path, name), masked)
		}
		return shown
	case []any:
		shown := make([]any, len(below))
		for i, item := range below {
			shown[i] = maskValue(elem(t), item, fmt.Sprintf("%s[%d]", path, i), masked)
		}
		return shown
	}
	if t == secretType {
		*masked = append(*masked, path)
		return redacted
	}
	return value
}

// elem is the type of what a list or a mapping holds, and t where it is neither.
func elem(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		return t.Elem()
	}
	return t
}
