package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"
)

// decoder fills a Config from nodes and notes what is wrong on the way.
type decoder struct {
	problems *Problems
	marks    map[string]mark // every value seen
	expanded int             // bytes that ${…} brought in so far
	literal  bool            // ${ is a plain ${
}

// decode sets v, the value under k, from n.
func (d *decoder) decode(n *node, v reflect.Value, k key) {
	d.marks[n.pos.Key] = mark{pos: n.pos, given: n.kind != nullNode}
	if n.kind == nullNode {
		return
	}
	if f, ok := formOf(v.Type(), k); ok {
		if d.is(n, scalarNode) {
			d.decodeScalar(n, v, k, f)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), k)
	case reflect.Struct:
		if d.is(n, mappingNode) {
			d.decodeStruct(n, v)
		}
	case reflect.Slice:
		if d.is(n, sequenceNode) {
			d.decodeSlice(n, v, k)
		}
	case reflect.Map:
		if d.is(n, mappingNode) {
			d.decodeMap(n, v, k)
		}
	}
}

// is notes a value that is not of the kind that its key takes.
func (d *decoder) is(n *node, want nodeKind) bool {
	if n.kind == want {
		return true
	}
	how := map[nodeKind]string{
		scalarNode:   "write it after the key, on one line",
		sequenceNode: "write [a, b], or each item on a line of its own after -",
		mappingNode:  "write its keys below it, indented",
	}[want]
	d.problems.Add(n.pos, "takes %v, not %v; %s", want, n.kind, how)
	return false
}

func (d *decoder) decodeStruct(n *node, v reflect.Value) {
	keys := keysOf(v.Type())
	for _, e := range n.entries {
		k, ok := keyOf(v.Type(), e.name)
		if !ok {
			d.problems.Add(e.pos, "unknown key; %s", hint(e.name, keys))
			continue
		}
		d.decode(e.value, v.Field(k.field), k)
	}
	for _, k := range keys {
		if given := n.get(k.name); k.required && (given == nil || given.kind == nullNode) {
			at := n.pos
			at.Key = join(at.Key, k.name)
			d.problems.Add(at, "is missing; every entry needs it")
		}
	}
}

// hint says which key may be meant.
func hint(name string, keys []key) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	if near := nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "the keys here are " + strings.Join(names, ", ")
}

func (d *decoder) decodeSlice(n *node, v reflect.Value, k key) {
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.items)))
	for _, item := range n.items {
		if item.kind == nullNode {
			d.problems.Add(item.pos, "is an empty item; remove it")
			continue
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if isNamedList(v.Type()) {
			setDefaults(element)
			element.FieldByName("Pos").Set(reflect.ValueOf(item.pos))
		}
		of := k
		of.required = !k.drop
		d.decode(item, element, of)
		if k.drop && element.IsZero() {
			continue
		}
		v.Set(reflect.Append(v, element))
	}
}

func (d *decoder) decodeMap(n *node, v reflect.Value, k key) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range n.entries {
		if e.value.kind == nullNode {
			continue
		}
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(e.value, element, k)
		v.SetMapIndex(reflect.ValueOf(e.name), element)
	}
}

// decodeScalar expands and parses a scalar. Messages quote what is written in
// the file and never what it expands to; of secrets they quote nothing.
func (d *decoder) decodeScalar(n *node, v reflect.Value, k key, f form) {
	text, ok := d.expand(n)
	if !ok {
		return
	}
	secret := v.Type() == secretType
	if unset := k.def == "" && !k.required && v.Kind() != reflect.Pointer; text == "" && unset {
		return
	}
	value, err := f.parse(text)
	switch {
	case text == "" && k.required:
		d.problems.Add(n.pos, "is empty; write %s", f.want)
	case !secret && !utf8.ValidString(text):
		d.problems.Add(n.pos, "is not UTF-8 text")
	case err != nil && (secret || f.quiet):
		d.problems.Add(n.pos, "is not %s%s", f.want, reason(err))
	case err != nil:
		d.problems.Add(n.pos, "%q is not %s%s", shorten(n.text), f.want, reason(err))
	default:
		if wrong := k.outside(v.Type(), value); wrong != "" {
			d.problems.Add(n.pos, "%q %s", shorten(n.text), wrong)
			return
		}
		setScalar(v, value)
	}
}

// expand returns a scalar's text with what ${…} stand for put in.
func (d *decoder) expand(n *node) (text string, ok bool) {
	if d.literal || !hasExpansion(n.text) {
		return n.text, true
	}
	text, err := expand(n.text, filepath.Dir(n.pos.File))
	if err != nil {
		d.problems.Add(n.pos, "%v", err)
		return "", false
	}
	if d.expanded += len(text); d.expanded > maxExpanded {
		d.problems.Add(n.pos, "${…} bring in more than %v in all", Size(maxExpanded))
		return "", false
	}
	return text, true
}

func reason(err error) string {
	if err == errForm {
		return ""
	}
	return ": " + err.Error()
}
