package signature

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
)

// template is a signed string in parts, so that it is fed to a hash piece by
// piece and the body is never copied.
type template []part

type part struct {
	kind partKind
	text string   // the literal, the canonical header name or the whole path
	path []string // of jsonPart
}

type partKind int

const (
	literalPart partKind = iota
	bodyPart
	timestampPart
	headerPart
	jsonPart
	methodPart
	urlPart
)

// parseTemplate reads the text of Scheme.Signed.
func parseTemplate(text string) (template, error) {
	if text == "" {
		return template{{kind: bodyPart}}, nil
	}
	var t template
	for rest := text; rest != ""; {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			open = len(rest)
		}
		if open > 0 {
			t = append(t, part{kind: literalPart, text: rest[:open]})
			rest = rest[open:]
			continue
		}
		end := strings.IndexByte(rest, '}')
		if end <= 0 {
			return nil, fmt.Errorf("signed %q has an unpaired brace", text)
		}
		p, err := parsePlaceholder(rest[1:end])
		if err != nil {
			return nil, fmt.Errorf("signed %q: %w", text, err)
		}
		t = append(t, p)
		rest = rest[end+1:]
	}
	if !slices.ContainsFunc(t, part.varies) {
		return nil, fmt.Errorf("signed %q is the same for every request", text)
	}
	return t, nil
}

func parsePlaceholder(text string) (part, error) {
	name, argument, _ := strings.Cut(text, ":")
	switch {
	case text == "body":
		return part{kind: bodyPart}, nil
	case text == "timestamp":
		return part{kind: timestampPart}, nil
	case text == "method":
		return part{kind: methodPart}, nil
	case text == "url":
		return part{kind: urlPart}, nil
	case name == "header":
		canonical, err := headerName(argument)
		return part{kind: headerPart, text: canonical}, err
	case name == "json":
		path, err := jsonPath(argument)
		return part{kind: jsonPart, text: argument, path: path}, err
	}
	return part{}, fmt.Errorf("{%s} is not one of {body}, {timestamp}, {header:Name}, {json:path}, {method}, {url}", text)
}

// varies says that a part is new with every request of one sender.
func (p part) varies() bool {
	return p.kind != literalPart && p.kind != methodPart && p.kind != urlPart
}

// covers says that t has a part of the kind.
func (t template) covers(kind partKind) bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.kind == kind })
}

// useTimestamp makes the parts that name the source of the time the timestamp
// itself, so that a signer, which has no such header yet, fills them too.
func (t template) useTimestamp(source Timestamp) {
	for i, p := range t {
		if p.kind == headerPart && p.text == source.Header || p.kind == jsonPart && p.text == source.JSON {
			t[i] = part{kind: timestampPart}
		}
	}
}

// headerName gives name in the form http.Header keeps it.
func headerName(name string) (string, error) {
	for _, c := range []byte(name) {
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return "", fmt.Errorf("%q is not a header name", name)
		}
	}
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	if canonical == "" {
		return "", errors.New("a header needs a name")
	}
	if canonical == "Host" {
		return "", errors.New("header Host is not kept with the others and cannot be used")
	}
	return canonical, nil
}

// jsonPath parts a path into its names.
func jsonPath(path string) ([]string, error) {
	names := strings.Split(path, ".")
	if slices.Contains(names, "") {
		return nil, fmt.Errorf("%q is not a JSON path; write names joined by dots", path)
	}
	return names, nil
}
