package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of one file. Aliases are copied where they stand, so that a small file
// could grow without end ("billion laughs"); what they add is counted.
const (
	maxDepth      = 32
	maxAliasNodes = 100_000
)

type nodeKind int

const (
	nullNode nodeKind = iota // says nothing: the key keeps its earlier value
	scalarNode
	sequenceNode
	mappingNode
)

// String is the word for it in messages.
func (k nodeKind) String() string {
	return [...]string{"nothing", "a single value", "a list", "a mapping"}[k]
}

// node is a value in a file: YAML without styles, tags and aliases, and with the
// file and the path of the key beside line and column.
type node struct {
	pos     Position
	kind    nodeKind
	text    string  // of a scalar, as written, before expansion
	items   []*node // of a sequence
	entries []entry // of a mapping, each name once
}

// entry is a key of a mapping and its value.
type entry struct {
	name  string
	pos   Position // of the key
	value *node
}

// get returns the value under name, nil if there is none.
func (n *node) get(name string) *node {
	for _, e := range n.entries {
		if e.name == name {
			return e.value
		}
	}
	return nil
}

// converter turns the YAML of one file into nodes.
type converter struct {
	file     string
	problems *Problems
	open     []*yaml.Node // collections being converted, outermost first
	aliases  int          // how many of those were reached by an alias
	copied   int          // nodes converted inside aliases
}

// convert returns y as the value at path. What cannot be converted is noted and
// becomes null.
func (c *converter) convert(y *yaml.Node, path string) *node {
	n := &node{pos: c.position(y, path)}
	if c.aliases > 0 {
		c.copied++
	}
	switch {
	case c.copied > maxAliasNodes:
		if c.copied == maxAliasNodes+1 {
			c.problems.Add(n.pos, "aliases expand to more than %d values; write fewer", maxAliasNodes)
		}
		return n
	case len(c.open) > maxDepth:
		c.problems.Add(n.pos, "is nested more than %d deep", maxDepth)
		return n
	case slices.Contains(c.open, y):
		c.problems.Add(n.pos, "contains itself through an alias; remove the alias")
		return n
	case y.Style&yaml.TaggedStyle != 0 && y.ShortTag() != "!!str":
		c.problems.Add(n.pos, "has a tag; remove it, and quote a value that begins with !")
		return n
	}
	c.open = append(c.open, y)
	defer func() { c.open = c.open[:len(c.open)-1] }()
	switch y.Kind {
	case yaml.AliasNode:
		c.aliases++
		defer func() { c.aliases-- }()
		return c.convert(y.Alias, path)
	case yaml.ScalarNode:
		if y.ShortTag() != "!!null" {
			n.kind, n.text = scalarNode, y.Value
		}
	case yaml.SequenceNode:
		n.kind = sequenceNode
		taken := map[string]bool{}
		for i, item := range y.Content {
			at := itemPath(path, i, item)
			if taken[at] { // the second of a name, whose problems are not those of the first
				at = fmt.Sprintf("%s[%d]", path, i)
			}
			taken[at] = true
			n.items = append(n.items, c.convert(item, at))
		}
	case yaml.MappingNode:
		n.kind = mappingNode
		c.convertMapping(n, y, path)
	}
	return n
}

func (c *converter) convertMapping(n *node, y *yaml.Node, path string) {
	lines := map[string]int{}
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, value := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.ShortTag() == "!!merge" {
			merged = append(merged, c.convert(value, path))
			continue
		}
		at := c.position(k, join(path, shorten(k.Value)))
		switch first := lines[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			c.problems.Add(c.position(k, path), "has a key that is not a single word")
		case first > 0:
			c.problems.Add(at, "is given twice, first in line %d; remove one", first)
		default:
			lines[k.Value] = k.Line
			n.entries = append(n.entries, entry{name: k.Value, pos: at, value: c.convert(value, join(path, shorten(k.Value)))})
		}
	}
	for _, m := range merged {
		c.merge(n, m)
	}
}

// merge adds what n lacks from the value of a merge key (<<): a mapping, or a
// list of them, the first winning.
func (c *converter) merge(n, from *node) {
	switch from.kind {
	case mappingNode:
		for _, e := range from.entries {
			if n.get(e.name) == nil {
				n.entries = append(n.entries, e)
			}
		}
	case sequenceNode:
		for _, item := range from.items {
			c.merge(n, item)
		}
	case scalarNode:
		c.problems.Add(from.pos, "<< takes a mapping, as a rule an alias of one")
	}
}

func (c *converter) position(y *yaml.Node, path string) Position {
	return Position{File: c.file, Line: y.Line, Column: y.Column, Key: path}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// itemPath names an item by its name where that is written plainly, because
// indexes change when files are merged, and by its index otherwise.
func itemPath(path string, i int, item *yaml.Node) string {
	if item.Kind == yaml.AliasNode {
		item = item.Alias
	}
	if item.Kind == yaml.MappingNode {
		for j := 0; j+1 < len(item.Content); j += 2 {
			name := item.Content[j+1].Value
			if item.Content[j].Value == "name" && nameRegexp.MatchString(name) {
				return fmt.Sprintf("%s[%s]", path, name)
			}
		}
	}
	return fmt.Sprintf("%s[%d]", path, i)
}

// shorten bounds a text for a message and keeps it on one line.
func shorten(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if r := []rune(text); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return text
}
