package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration file.
const maxFile = 4 << 20

// readFile returns the top mapping of a file, nil if it is empty or unusable.
func readFile(path string, problems *Problems) *node {
	data, err := readBounded(path, maxFile)
	if err != nil {
		problems.Add(Position{File: path}, "cannot be read: %v", err)
		return nil
	}
	return parse(path, data, problems)
}

// readBounded reads a file of at most limit bytes. Its errors do not repeat the path.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case int64(len(data)) > limit:
		return nil, errors.New("it is larger than " + Size(limit).String())
	}
	return data, nil
}

func withoutPath(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}

// parse is readFile for data that was read.
func parse(path string, data []byte, problems *Problems) *node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if err == io.EOF {
		return nil
	}
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			problems.Add(Position{File: path, Line: second.Line, Column: second.Column},
				"a second document begins; give each document a file of its own")
			return nil
		}
	}
	if err != io.EOF {
		problems.List = append(problems.List, syntaxProblem(path, data, err))
		return nil
	}
	c := converter{file: path, problems: problems}
	root := c.convert(document.Content[0], "")
	switch root.kind {
	case nullNode:
		return nil
	case mappingNode:
		checkNames(root, problems)
		return root
	}
	problems.Add(root.pos, "the file is %v, not keys with values such as version: 1", root.kind)
	return nil
}

var (
	syntaxLine    = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxProblem puts an error of the YAML parser in our form. The parser counts
// from 0 in errors of structure and leaves out the first line.
func syntaxProblem(path string, data []byte, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := Position{File: path, Line: 1, Column: 1}
	if found := syntaxLine.FindStringSubmatch(text); found != nil {
		at.Line, _ = strconv.Atoi(found[1])
		text = text[len(found[0]):]
		if structural := strings.HasPrefix(text, "did not find expected") && !strings.Contains(text, "alphabetic"); structural {
			at.Line++
		}
	}
	// The anchor's name is not repeated: it may be a secret that begins with *.
	if found := unknownAnchor.FindStringSubmatch(text); found != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+found[1]))
		at.Line = 1 + bytes.Count(before, []byte("\n"))
		at.Column = len(before) - bytes.LastIndexByte(before, '\n')
		text = "an alias has no anchor; quote a value that begins with *"
	}
	return Problem{Position: at, Message: "not YAML: " + text}
}

// checkNames notes entries of one file that have the same name, which stay to be
// looked at. In different files the later is laid over the earlier.
func checkNames(root *node, problems *Problems) {
	for _, e := range root.entries {
		if t, ok := keyOf(reflect.TypeFor[Config](), e.name); !ok || !isNamedList(t.typ) {
			continue
		}
		lines := map[string]int{}
		for _, item := range e.value.items {
			name := item.get("name")
			if name == nil || name.kind != scalarNode {
				continue
			}
			if first := lines[name.text]; first > 0 {
				problems.Add(name.pos, "the name is taken by the entry in line %d; rename one of them", first)
				continue
			}
			lines[name.text] = name.pos.Line
		}
	}
}
