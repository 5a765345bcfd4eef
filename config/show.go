package config

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Show returns the configuration in force as YAML: every key in the order of
// Schema with its default filled in, without lists and texts that are empty,
// and with secrets as "***". Loaded again with those replaced, it gives the
// same configuration.
func (c *Config) Show() []byte {
	root := showStruct(reflect.ValueOf(c).Elem())
	if !c.NATS.UseEmbedded() {
		// Load refuses keys of a server that is not used.
		remove(child(root, "nats"), "embedded")
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		panic(fmt.Sprintf("config: encoding what Load made: %v", err))
	}
	return out.Bytes()
}

func showStruct(v reflect.Value) *yaml.Node {
	mapping := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range keysOf(v.Type()) {
		if value := show(v.Field(k.field), k); value != nil {
			mapping.Content = append(mapping.Content, textNode(k.name), value)
		}
	}
	return mapping
}

// show returns the value of a key, nil where it is empty and that is its default.
func show(v reflect.Value, k key) *yaml.Node {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		if v.Elem().Kind() == reflect.Struct {
			return showStruct(v.Elem())
		}
		return showScalar(v.Elem())
	}
	if _, ok := formOf(v.Type(), k); ok {
		if v.IsZero() && k.def == "" {
			return nil
		}
		return showScalar(v)
	}
	var node *yaml.Node
	switch v.Kind() {
	case reflect.Struct:
		node = showStruct(v)
	case reflect.Slice:
		node = showSlice(v)
	case reflect.Map:
		node = showMap(v)
	}
	if len(node.Content) == 0 {
		return nil
	}
	return node
}

func showSlice(v reflect.Value) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range v.Len() {
		if isNamedList(v.Type()) {
			list.Content = append(list.Content, showStruct(v.Index(i)))
		} else {
			list.Content = append(list.Content, showScalar(v.Index(i)))
		}
	}
	return list
}

func showMap(v reflect.Value) *yaml.Node {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	mapping := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range keys {
		mapping.Content = append(mapping.Content, textNode(k.String()), showScalar(v.MapIndex(k)))
	}
	return mapping
}

// showScalar leaves numbers and booleans plain, and escapes what Load would
// take for an expansion.
func showScalar(v reflect.Value) *yaml.Node {
	text := formatScalar(v)
	switch v.Interface().(type) {
	case bool, int, float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	}
	return textNode(strings.ReplaceAll(text, "${", "$${"))
}

// simpleLines matches lines of letters that neither begin nor end with a space.
// Other texts of several lines are written with escapes: the encoder loses some
// of their spaces and line ends.
var simpleLines = regexp.MustCompile(`^([!-~]([ -~]*[!-~])?\n?)*$`)

func textNode(text string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if !simpleLines.MatchString(text) {
		node.Style = yaml.DoubleQuotedStyle
	}
	return node
}

// child returns the value under a key of a mapping.
func child(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func remove(mapping *yaml.Node, name string) {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			return
		}
	}
}
