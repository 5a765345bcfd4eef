package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Entries are the sources, endpoints and subscribers of files, for a bridge that
// does not read those files itself.
type Entries struct {
	config *Config
	given  []string // the lists that the files have
}

// LoadEntries reads files as [Load] does, which may have nothing but version and
// the lists sources, endpoints and subscribers. Each value is checked by itself;
// what only shows beside others is left to the bridge, which has those. An error is
// a *Problems.
func LoadEntries(paths []string) (*Entries, error) {
	var problems Problems
	var root *node
	for _, path := range paths {
		root = overlay(reflect.TypeFor[Config](), root, readFile(path, &problems))
	}
	e := &Entries{config: &Config{marks: map[string]mark{}}}
	if root != nil {
		d := decoder{problems: &problems, marks: e.config.marks}
		d.decode(e.takeLists(root, &problems), reflect.ValueOf(e.config).Elem(), key{})
	}
	if err := problems.Err(paths); err != nil {
		return nil, err
	}
	return e, nil
}

// takeLists returns the part of a file that consists of entries, and notes what
// else there is.
func (e *Entries) takeLists(root *node, problems *Problems) *node {
	lists := *root
	lists.entries = nil
	for _, of := range root.entries {
		k, known := keyOf(reflect.TypeFor[Config](), of.name)
		if known && of.name != "version" && !isNamedList(k.typ) {
			problems.Add(of.pos, "is for the file of the bridge itself, which alone can set it; leave it out here")
			continue
		}
		lists.entries = append(lists.entries, of)
		if known && of.value.kind == sequenceNode && isNamedList(k.typ) {
			e.given = append(e.given, of.name)
		}
	}
	return &lists
}

// Has reports whether the files have a list, be it empty.
func (e *Entries) Has(list string) bool { return slices.Contains(e.given, list) }

// Specs returns the entries of a list as a JSON object of the management API has
// them: the keys that the files have, and the environment. They hold secrets in
// the clear.
func (e *Entries) Specs(list string) []map[string]any {
	var specs []map[string]any
	entries := e.entries(list)
	for i := range entries.Len() {
		entry := entries.Index(i)
		spec := e.spec(entry, entry.FieldByName("Pos").Interface().(Position).Key)
		spec["env"] = entry.FieldByName("Env").String()
		specs = append(specs, spec)
	}
	return specs
}

func (e *Entries) entries(list string) reflect.Value {
	k, ok := keyOf(reflect.TypeFor[Config](), list)
	if !ok || !isNamedList(k.typ) {
		panic("config: there is no list " + list)
	}
	return reflect.ValueOf(e.config).Elem().Field(k.field)
}

// spec is the keys below path that have a value in a file.
func (e *Entries) spec(v reflect.Value, path string) map[string]any {
	spec := map[string]any{}
	for _, k := range keysOf(v.Type()) {
		at := join(path, k.name)
		if !e.config.marks[at].given {
			continue
		}
		field := v.Field(k.field)
		if len(keysOf(field.Type())) > 0 {
			spec[k.name] = e.spec(pointed(field), at)
		} else if value := plainValue(field, k, Secret.Reveal); value != nil {
			spec[k.name] = value
		}
	}
	return spec
}

// plainValue is a scalar, or a list or a mapping of them, as JSON has it; nil for
// what is empty. secret says how secrets are written.
func plainValue(v reflect.Value, k key, secret func(Secret) string) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		return plainScalar(v.Elem(), secret)
	}
	if _, scalar := formOf(v.Type(), k); scalar {
		if v.IsZero() && k.def == "" {
			return nil
		}
		return plainScalar(v, secret)
	}
	switch {
	case v.Len() == 0:
		return nil
	case v.Kind() == reflect.Map:
		mapping := map[string]any{}
		for _, name := range v.MapKeys() {
			mapping[name.String()] = plainScalar(v.MapIndex(name), secret)
		}
		return mapping
	}
	list := make([]any, v.Len())
	for i := range list {
		list[i] = plainScalar(v.Index(i), secret)
	}
	return list
}

func plainScalar(v reflect.Value, secret func(Secret) string) any {
	switch value := v.Interface().(type) {
	case Secret:
		return secret(value)
	case bool, int, float64:
		return value
	}
	return formatScalar(v)
}

// Position returns where the files have what the bridge calls body.endpoints[2].url,
// the entries counting from 0, or the nearest to it.
func (e *Entries) Position(field string) Position {
	list, rest, _ := strings.Cut(strings.TrimPrefix(field, "body."), "[")
	number, rest, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(number)
	if err != nil || !e.Has(list) || i < 0 || i >= e.entries(list).Len() {
		return Position{Key: field}
	}
	entry := e.entries(list).Index(i).FieldByName("Pos").Interface().(Position)
	return e.config.Position(entry.Key + rest)
}

// Format prints no entry, for all verbs.
func (e *Entries) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "entries of %v", e.given) }
