package signature

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxCandidates is how many signatures one request may carry: as many as
// DocuSign numbers. Where each costs a public key operation it is fewer.
const (
	maxCandidates       = 100
	maxPublicCandidates = 8
)

// compile checks l for an algorithm of the family and prepares what place
// needs: canonical header names and the parted path.
func (l *Location) compile(f family) (place, error) {
	if f == basicFamily {
		if l.Header == "" {
			l.Header = "Authorization"
		}
		if *l != (Location{Header: l.Header}) {
			return place{}, errors.New("basic is configured by header alone")
		}
	}
	if err := l.checkFormat(f); err != nil {
		return place{}, err
	}
	p := place{Location: *l}
	set := 0
	for _, text := range []string{l.Header, l.HeadersNumbered, l.JSON, l.Form} {
		if text != "" {
			set++
		}
	}
	if set != 1 {
		return place{}, errors.New("needs exactly one of header, headers_numbered, json and form")
	}
	var err error
	switch {
	case l.Header != "":
		p.Header, err = headerName(l.Header)
	case l.HeadersNumbered != "":
		for i := range maxCandidates {
			name, err := headerName(l.HeadersNumbered + strconv.Itoa(i+1))
			if err != nil {
				return place{}, err
			}
			p.numbered = append(p.numbered, name)
		}
	case l.JSON != "":
		p.path, err = jsonPath(l.JSON)
	}
	return p, err
}

func (l *Location) checkFormat(f family) error {
	if f.signs() {
		if err := l.Encoding.validate(); err != nil {
			return err
		}
	} else if l.Encoding != "" {
		return fmt.Errorf("encoding %q is for signatures; this algorithm compares text", l.Encoding)
	}
	switch {
	case l.Separator == "" && (l.KeyValue != "" || l.Tag != ""):
		return errors.New("key_value and tag are for lists: they need a separator")
	case (l.KeyValue == "") != (l.Tag == ""):
		return errors.New("key_value and tag need each other")
	case l.Separator != "" && l.Prefix != "":
		return errors.New("prefix and separator exclude each other; a list has a tag")
	case l.KeyValue != "" && l.KeyValue == l.Separator:
		return fmt.Errorf("separator and key_value are both %q", l.Separator)
	case l.Tag != "" && (strings.Contains(l.Tag, l.Separator) || strings.Contains(l.Tag, l.KeyValue)):
		return fmt.Errorf("tag %q contains a separator", l.Tag)
	}
	return nil
}

// place is a Location ready for use.
type place struct {
	Location
	numbered []string // canonical names, for HeadersNumbered
	path     []string // for JSON
}

// texts appends the texts that hold signatures, at least one.
func (p *place) texts(in *input, to []string) ([]string, error) {
	var text string
	var err error
	switch {
	case p.numbered != nil:
		return p.numberedTexts(in, to)
	case p.path != nil:
		text, err = in.json(p.path)
	case p.Form != "":
		text, err = in.form(p.Form)
	default:
		text, err = in.header(p.Header)
	}
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("%w: the text is longer than %d bytes", ErrMismatch, maxText)
	}
	return append(to, text), err
}

func (p *place) numberedTexts(in *input, to []string) ([]string, error) {
	for i, name := range p.numbered {
		text, err := in.header(name)
		if i > 0 && errors.Is(err, ErrMissing) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(text) > maxText {
			return nil, fmt.Errorf("%w: header %s is longer than %d bytes", ErrMismatch, name, maxText)
		}
		to = append(to, text)
	}
	return to, nil
}

// candidates appends what may be signatures in texts, still encoded. More than
// limit are an error, so that the work stays bounded.
func (p *place) candidates(texts []string, limit int, to []string) ([]string, error) {
	for _, text := range texts {
		if p.Separator == "" {
			if candidate, ok := strings.CutPrefix(text, p.Prefix); ok {
				to = append(to, candidate)
			}
			continue
		}
		for entry := range strings.SplitSeq(text, p.Separator) {
			if candidate, ok := p.tagged(entry, p.Tag); ok {
				to = append(to, candidate)
			}
			if len(to) > limit {
				break
			}
		}
	}
	if len(to) > limit {
		return nil, fmt.Errorf("%w: more than %d signatures", ErrMismatch, limit)
	}
	return to, nil
}

// tagged gives the value of a list's entry if its tag is the one asked for.
// Without KeyValue every entry is a value.
func (p *place) tagged(entry, tag string) (string, bool) {
	entry = strings.TrimSpace(entry)
	if p.KeyValue == "" {
		return entry, entry != ""
	}
	name, value, ok := strings.Cut(entry, p.KeyValue)
	return value, ok && name == tag
}

// field gives the one value that has the tag in a list.
func (p *place) field(text, tag string) (string, error) {
	found, value := false, ""
	for entry := range strings.SplitSeq(text, p.Separator) {
		v, ok := p.tagged(entry, tag)
		if !ok {
			continue
		}
		if found {
			return "", fmt.Errorf("%w: %s more than once", ErrMismatch, tag)
		}
		found, value = true, v
	}
	if !found {
		return "", fmt.Errorf("%w: no %s beside the signatures", ErrMissing, tag)
	}
	return value, nil
}

// write is the opposite of candidates: the text of a header with signatures,
// preceded by the timestamp where it is a field of the list.
func (p *place) write(field, timestamp string, signatures []string) string {
	if p.Separator == "" {
		return p.Prefix + signatures[0]
	}
	var entries []string
	if field != "" {
		entries = append(entries, field+p.KeyValue+timestamp)
	}
	for _, s := range signatures {
		entries = append(entries, p.Tag+p.KeyValue+s)
	}
	return strings.Join(entries, p.Separator)
}
