package config

import (
	"reflect"
	"strings"
)

// key is the description of one key, read from the tags of its field.
type key struct {
	name, doc, def, form string
	enum                 []string
	min, max             string
	required, drop       bool
	typ                  reflect.Type
	field                int
}

// keyTable has the keys of Config and of every struct below it.
var keyTable = describe(reflect.TypeFor[Config](), map[reflect.Type][]key{})

// keysOf describes the keys of struct type t, in order; none for other types.
func keysOf(t reflect.Type) []key {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return keyTable[t]
}

func describe(t reflect.Type, table map[reflect.Type][]key) map[reflect.Type][]key {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return describe(t.Elem(), table)
	case reflect.Struct:
		if len(table[t]) > 0 {
			return table // two keys have this type
		}
		for i := range t.NumField() {
			if name, ok := t.Field(i).Tag.Lookup("key"); ok {
				table[t] = append(table[t], newKey(name, i, t.Field(i)))
				describe(t.Field(i).Type, table)
			}
		}
	}
	return table
}

func newKey(name string, index int, field reflect.StructField) key {
	tag := field.Tag
	k := key{
		name: name, doc: tag.Get("doc"), def: tag.Get("default"), form: tag.Get("form"),
		min: tag.Get("min"), max: tag.Get("max"),
		required: tag.Get("required") != "", drop: tag.Get("drop") != "",
		typ: field.Type, field: index,
	}
	if words := tag.Get("enum"); words != "" {
		k.enum = strings.Split(words, ",")
	}
	return k
}

// keyOf is the description of one key of t.
func keyOf(t reflect.Type, name string) (key, bool) {
	for _, k := range keysOf(t) {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// setDefaults gives every key of the struct v its default. Lists of entries
// begin empty, and pointers nil.
func setDefaults(v reflect.Value) {
	for _, k := range keysOf(v.Type()) {
		field := v.Field(k.field)
		if field.Kind() == reflect.Struct {
			setDefaults(field)
		}
		if k.def == "" {
			continue
		}
		if field.Kind() != reflect.Slice {
			setScalar(field, mustParse(field.Type(), k, k.def))
			continue
		}
		for word := range strings.SplitSeq(k.def, ",") {
			item := reflect.New(field.Type().Elem()).Elem()
			setScalar(item, mustParse(item.Type(), k, word))
			field.Set(reflect.Append(field, item))
		}
	}
}

// mustParse reads a text of a tag; a tag that its own form refuses is a mistake
// in this package, which every test would meet.
func mustParse(t reflect.Type, k key, text string) any {
	f, _ := formOf(t, k)
	value, err := f.parse(text)
	if err != nil {
		panic("config: the tag of " + k.name + " is not " + f.want)
	}
	return value
}

// outside returns what is wrong with a value beyond min or max, "" if nothing.
func (k key) outside(t reflect.Type, value any) string {
	number := func(value any) float64 {
		return reflect.ValueOf(value).Convert(reflect.TypeFor[float64]()).Float()
	}
	switch {
	case k.min != "" && number(value) < number(mustParse(t, k, k.min)):
		return "is less than " + k.min + ", the least allowed"
	case k.max != "" && number(value) > number(mustParse(t, k, k.max)):
		return "is more than " + k.max + ", the most allowed"
	}
	return ""
}
