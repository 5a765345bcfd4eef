package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// entryKey is where an entry that is not of a file says that it is written.
const entryKey = "body"

// Entry reads one entry of the list sources, endpoints or subscribers that is not
// of a file, under the rules of c, and returns a configuration that has this
// entry alone. data is a JSON object with the keys that a file would have; a ${
// in it is a plain ${, for whoever wrote it may not read this machine's files. A
// key that is null counts as absent. The error is a *Problems, whose keys begin
// with "body"; what could be read is returned beside it. further is that of
// [Load].
func (c *Config) Entry(list string, data []byte, further ...func(*Config) error) (one *Config, err error) {
	of, ok := keyOf(reflect.TypeFor[Config](), list)
	if !ok || !isNamedList(of.typ) {
		panic("config: there is no list " + list)
	}
	one = new(Config)
	*one = *c
	one.Sources, one.Endpoints, one.Subscribers, one.marks, one.faulty = nil, nil, nil, map[string]mark{}, nil
	var problems Problems
	entry, err := jsonNode(data)
	if err != nil {
		problems.Add(Position{Key: entryKey}, "is not a JSON object: %v", err)
		return one, problems.Err(nil)
	}
	d := decoder{problems: &problems, marks: one.marks, literal: true}
	d.decode(&node{pos: entry.pos, kind: sequenceNode, items: []*node{entry}}, reflect.ValueOf(one).Elem().Field(of.field), of)
	one.complete()
	one.check(&problems)
	one.checkFurther(&problems, further)
	return one, problems.Err(nil)
}

// jsonNode turns a JSON object into a node.
func jsonNode(data []byte) (*node, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, errors.New("it cannot be read") // the reason may repeat a secret
	}
	if object == nil || decoder.More() {
		return nil, errors.New("something else is there")
	}
	return valueNode(object, entryKey), nil
}

func valueNode(value any, path string) *node {
	n := &node{pos: Position{Key: path}}
	switch value := value.(type) {
	case map[string]any:
		n.kind = mappingNode
		for _, name := range slices.Sorted(maps.Keys(value)) {
			at := join(path, shorten(name))
			n.entries = append(n.entries, entry{name: name, pos: Position{Key: at}, value: valueNode(value[name], at)})
		}
	case []any:
		n.kind = sequenceNode
		for i, item := range value {
			n.items = append(n.items, valueNode(item, fmt.Sprintf("%s[%d]", path, i)))
		}
	case nil:
	default: // a string, a json.Number or a bool
		n.kind, n.text = scalarNode, fmt.Sprint(value)
	}
	return n
}

// EntryJSON returns a Source, an Endpoint or a Subscriber as JSON: every key with
// its default filled in, without lists and texts that are empty, and with secrets
// as "***".
func EntryJSON(entry any) []byte {
	var value any
	if err := showStruct(reflect.ValueOf(entry)).Decode(&value); err != nil {
		panic(fmt.Sprintf("config: decoding what Show makes: %v", err))
	}
	text, err := json.Marshal(plain(value))
	if err != nil {
		panic(fmt.Sprintf("config: encoding what Show makes: %v", err))
	}
	return text
}

// plain undoes the escaping of what a file would expand.
func plain(value any) any {
	switch value := value.(type) {
	case string:
		return strings.ReplaceAll(value, "$${", "${")
	case []any:
		for i := range value {
			value[i] = plain(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = plain(value[name])
		}
	}
	return value
}
