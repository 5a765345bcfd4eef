package provider

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jethook/jethook/internal/signature"
)

// build makes a body from the first source of the name and of the id, and the
// time where the scheme reads it from the body. It adds what belongs there to
// header.
func (d draft) build(p Preset, x *Extractor, header http.Header) []byte {
	o := outline{header: header, form: url.Values{}}
	o.place(source{kind: kindJSON, names: []string{"sample_id"}}, d.id)
	if len(x.id) > 0 {
		o.place(x.id[0], d.id)
	}
	o.place(x.event[0], d.event)
	if x.event[0].kind == kindForm {
		o.form.Set("sample_id", d.id)
		header.Set("Content-Type", "application/x-www-form-urlencoded")
		return []byte(o.form.Encode())
	}
	body := o.item
	if list, inside := strings.CutPrefix(p.Batch, "json:"); inside {
		body = set(nil, strings.Split(list, "."), []any{o.item})
	} else if p.Batch != "" {
		body = []any{o.item}
	}
	if p.Scheme != nil && p.Scheme.Timestamp.JSON != "" {
		body = set(body, strings.Split(p.Scheme.Timestamp.JSON, "."), d.time(p.Scheme.Timestamp.Written()))
	}
	return encode(body)
}

// time is now as a signer writes it into a body.
func (d draft) time(unit signature.Unit) any {
	switch unit {
	case signature.Seconds:
		return d.now.Unix()
	case signature.RFC3339:
		return d.now.UTC().Format(time.RFC3339)
	default:
		return d.now.UnixMilli()
	}
}

// outline is a request whose sources are filled one after the other.
type outline struct {
	header http.Header
	form   url.Values
	item   any
}

// place puts value where s reads it.
func (o *outline) place(s source, value string) {
	switch s.kind {
	case kindJSON:
		o.item = set(o.item, s.names, value)
	case kindHeader:
		o.header.Set(s.arg, value)
	case kindForm:
		o.form.Set(s.arg, value)
	case kindTmpl:
		o.placeParts(s.parts, value)
	}
}

// placeParts takes value apart at the template's literal text. A part that
// cannot be told from the next gets what is left.
func (o *outline) placeParts(parts []source, value string) {
	for i, part := range parts {
		if part.kind == kindConst {
			value = strings.TrimPrefix(value, part.arg)
			continue
		}
		mine, rest := value, value
		if i+1 < len(parts) && parts[i+1].kind == kindConst {
			if at := strings.Index(value, parts[i+1].arg); at >= 0 {
				mine, rest = value[:at], value[at:]
			}
		}
		o.place(part, mine)
		value = rest
	}
}

// maxIndex bounds the lists that an index in a path makes.
const maxIndex = 100

// set puts value at a path of names and list indexes below node, making what is
// not there, and returns node, which is made anew where it does not fit.
func set(node any, names []string, value any) any {
	if len(names) == 0 {
		return value
	}
	index, err := strconv.Atoi(names[0])
	if _, isObject := node.(map[string]any); err == nil && !isObject && index >= 0 && index < maxIndex {
		list, _ := node.([]any)
		for len(list) <= index {
			list = append(list, nil)
		}
		list[index] = set(list[index], names[1:], value)
		return list
	}
	object, ok := node.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	object[names[0]] = set(object[names[0]], names[1:], value)
	return object
}
