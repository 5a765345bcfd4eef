package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tidwall/gjson"
)

// kind is where a source looks.
type kind string

const (
	kindJSON   kind = "json"
	kindHeader kind = "header"
	kindForm   kind = "form"
	kindTmpl   kind = "tmpl"
	kindConst  kind = "const"
	kindHash   kind = "hash"
)

// source is one place a name or an id may be read from.
type source struct {
	kind kind
	// arg is the path with gjson's special characters escaped, the name of the
	// header or field, or the constant.
	arg string
	// names are those of the path, unescaped.
	names []string
	// parts are those of a template: text (kindConst) and sources in turn.
	parts []source
}

// parseSources reads a list of sources. hash:body is allowed for ids only.
func parseSources(texts []string, ids bool) ([]source, error) {
	sources := make([]source, len(texts))
	for i, text := range texts {
		s, err := parseSource(text)
		if err != nil {
			return nil, err
		}
		if s.kind == kindHash && !ids {
			return nil, fmt.Errorf("source %q: a hash names no event", text)
		}
		sources[i] = s
	}
	return sources, nil
}

func parseSource(text string) (source, error) {
	word, arg, _ := strings.Cut(text, ":")
	s := source{kind: kind(word), arg: arg}
	var err error
	switch s.kind {
	case kindJSON:
		s.names = strings.Split(arg, ".")
		s.arg, err = escapePath(s.names)
	case kindHeader, kindForm, kindConst:
		if strings.TrimSpace(arg) == "" {
			err = fmt.Errorf("nothing follows %s", word)
		}
	case kindTmpl:
		s.parts, err = parseTemplate(arg)
	case kindHash:
		if arg != "body" {
			err = errors.New("only hash:body is known")
		}
	default:
		err = errors.New("it must begin with json:, header:, form:, tmpl:, const: or, for a delivery id, be hash:body")
	}
	if err != nil {
		return source{}, fmt.Errorf("source %q: %w", text, err)
	}
	return s, nil
}

// escapePath makes a gjson path in which only the dots are special, so that the
// paths of a configuration do not depend on gjson's queries and modifiers.
func escapePath(names []string) (string, error) {
	escaped := make([]string, len(names))
	for i, name := range names {
		if name == "" {
			return "", errors.New("the path has an empty name")
		}
		escaped[i] = gjson.Escape(name)
	}
	return strings.Join(escaped, "."), nil
}

// parseTemplate reads text with sources in braces. A brace cannot be escaped.
func parseTemplate(text string) ([]source, error) {
	var parts []source
	named := false
	for text != "" {
		literal, rest, open := strings.Cut(text, "{")
		if literal != "" {
			parts = append(parts, source{kind: kindConst, arg: literal})
		}
		if !open {
			break
		}
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, errors.New("a brace is not closed")
		}
		part, err := parseSource(inner)
		if err != nil {
			return nil, err
		}
		if part.kind != kindJSON && part.kind != kindHeader && part.kind != kindForm {
			return nil, errors.New("braces hold json:NAME, header:NAME or form:NAME and nothing else")
		}
		parts, text, named = append(parts, part), after, true
	}
	if !named {
		return nil, errors.New("a template needs a source in braces")
	}
	return parts, nil
}

// request is what sources read: a request, or one item of its list.
type request struct {
	header http.Header
	body   []byte
	json   bool       // body is valid JSON
	form   url.Values // body as a form, once a source asked for it
}

func newRequest(header http.Header, body []byte) *request {
	return &request{header: header, body: body, json: validJSON(body)}
}

// maxBrackets is as deep as encoding/json goes.
const maxBrackets = 10_000

// validJSON reports whether a body is JSON. gjson is several times as fast as
// encoding/json but recurses as deep as a body goes, so it is asked only where
// there are too few brackets to go deep.
func validJSON(body []byte) bool {
	if bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) < maxBrackets {
		return gjson.ValidBytes(body)
	}
	return json.Valid(body)
}

// first is the value of the first source that is present and not blank, and
// where it was; both are empty if there is none.
func (r *request) first(sources []source) (string, kind) {
	for _, s := range sources {
		if value, ok := r.read(s); ok {
			return value, s.kind
		}
	}
	return "", ""
}

func (r *request) read(s source) (string, bool) {
	value := ""
	switch s.kind {
	case kindJSON:
		value = r.readJSON(s.arg)
	case kindHeader:
		value = r.header.Get(s.arg)
	case kindForm:
		value = r.readForm(s.arg)
	case kindTmpl:
		return r.fill(s.parts)
	case kindConst:
		value = s.arg
	case kindHash:
		value = hash(r.body)
	}
	return value, strings.TrimSpace(value) != ""
}

// readJSON reads a string, or a number as the sender wrote it.
func (r *request) readJSON(path string) string {
	if !r.json {
		return ""
	}
	result := gjson.GetBytes(r.body, path)
	switch result.Type {
	case gjson.String:
		return result.Str
	case gjson.Number:
		return result.Raw
	default:
		return ""
	}
}

func (r *request) readForm(field string) string {
	if r.form == nil {
		form, err := url.ParseQuery(string(r.body))
		if err != nil {
			form = url.Values{} // half a form is no form
		}
		r.form = form
	}
	return r.form.Get(field)
}

func (r *request) fill(parts []source) (string, bool) {
	var b strings.Builder
	for _, part := range parts {
		if part.kind == kindConst {
			b.WriteString(part.arg)
			continue
		}
		value, ok := r.read(part)
		if !ok {
			return "", false
		}
		b.WriteString(value)
	}
	return b.String(), true
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
