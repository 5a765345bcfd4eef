package config

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Written is an entry to be written into a file: its keys as the management API
// tells them.
type Written struct {
	Spec map[string]any
	// Variables are written in place of values, by where those are, such as
	// auth.bearer or secrets[0].
	Variables map[string]Variable
}

// Variable is one of the environment that holds a value.
type Variable struct {
	Name     string
	Comment  string // one line, written above
	Optional bool   // it may be unset; then the value is empty
}

// WriteEntries returns a file that has the lists, in this order: sources, endpoints and
// subscribers. A list that is nil is left out, and an empty one is written.
// LoadEntries reads it, once the variables are set.
func WriteEntries(lists map[string][]Written) []byte {
	root := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{textNode("version"), {Kind: yaml.ScalarNode, Value: "1"}}}
	for _, k := range keysOf(reflect.TypeFor[Config]()) {
		entries := lists[k.name]
		if entries == nil {
			continue
		}
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, entry := range entries {
			list.Content = append(list.Content, entry.mapping(k.typ.Elem(), entry.Spec, ""))
		}
		if len(entries) == 0 {
			list.Style = yaml.FlowStyle
		}
		root.Content = append(root.Content, textNode(k.name), list)
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		panic(fmt.Sprintf("config: encoding plain nodes: %v", err))
	}
	return out.Bytes()
}

// mapping has the keys in the order of the schema, and those that it does not know
// behind them.
func (w Written) mapping(t reflect.Type, value map[string]any, path string) *yaml.Node {
	var names []string
	for _, k := range keysOf(t) {
		if _, given := value[k.name]; given {
			names = append(names, k.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(value)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range names {
		k, _ := keyOf(t, name)
		if k.typ == nil {
			k.typ = elem(t)
		}
		at := join(path, name)
		below := textNode(name)
		below.HeadComment = w.comment(at)
		node.Content = append(node.Content, below, w.node(k.typ, value[name], at))
	}
	return node
}

func (w Written) comment(path string) string {
	if v, ok := w.Variables[path]; ok && v.Comment != "" {
		return "# " + strings.ReplaceAll(v.Comment, "\n", " ")
	}
	return ""
}

func (w Written) node(t reflect.Type, value any, path string) *yaml.Node {
	if v, ok := w.Variables[path]; ok {
		if v.Optional {
			return textNode("${env:" + v.Name + ":-}")
		}
		return textNode("${env:" + v.Name + "}")
	}
	switch value := value.(type) {
	case map[string]any:
		return w.mapping(t, value, path)
	case []any:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for i, item := range value {
			at := fmt.Sprintf("%s[%d]", path, i)
			node := w.node(elem(t), item, at)
			node.HeadComment = w.comment(at)
			list.Content = append(list.Content, node)
		}
		return list
	case float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatFloat(value, 'f', -1, 64)}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(value)}
	}
	return textNode(strings.ReplaceAll(fmt.Sprint(value), "${", "$${"))
}
