package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Compose writes a sample event as the sender would, without its signature: the
// headers that name it and carry its id, and a body. The event's delivery id is
// id where the sender gives ids; where it is made of the body, id is part of the
// body, so that another id makes another event.
//
// The body is p.Sample with these placeholders replaced, or, where p has none
// or it has the name or the id elsewhere than p says, one built from the sources:
//
//	"{event}" "{id}"    strings; {first} and {last} are what is before and
//	                    after the last dot of the event's name
//	"{s}" "{ms}"        now in Unix seconds and milliseconds, as numbers
//	"{unix}" "{time}"   now in Unix seconds and as RFC 3339, as strings
//
// An event that cannot be named so is an error.
func (p Preset) Compose(event, id string, now time.Time) (http.Header, []byte, error) {
	x, err := NewExtractor(p.ExtractorConfig())
	if err != nil {
		return nil, nil, fmt.Errorf("composing a sample for %s: %w", p.Name, err)
	}
	d := draft{event: event, id: id, now: now}
	header := http.Header{"Content-Type": {"application/json"}}
	addHeaders(header, x.event, event)
	addHeaders(header, x.id, id)
	if len(p.Sample) > 0 {
		body := d.fill(p.Sample)
		if item, err := only(x, header, body, event); err == nil && d.identifies(item, p.Sample) {
			return header, body, nil
		}
	}
	body := d.build(p, x, header)
	if _, err = only(x, header, body, event); err != nil {
		return nil, nil, fmt.Errorf("composing a sample for %s: %q cannot be an event of it: %w", p.Name, event, err)
	}
	return header, body, nil
}

// addHeaders sets the headers that come before any other source.
func addHeaders(header http.Header, sources []source, value string) {
	for _, s := range sources {
		if s.kind != kindHeader {
			return
		}
		header.Set(s.arg, value)
	}
}

// only is the one event a receiver would find, if it has that name.
func only(x *Extractor, header http.Header, body []byte, event string) (Item, error) {
	items, err := x.Items(header, body)
	if err != nil {
		return Item{}, err
	}
	if len(items) != 1 || items[0].Type != event {
		return Item{}, ErrUnnamed
	}
	return items[0], nil
}

// draft is what a sample is made of.
type draft struct {
	event, id string
	now       time.Time
}

// fill replaces the placeholders of a sample and keeps all its other bytes.
func (d draft) fill(sample []byte) []byte {
	first, last := d.event, d.event
	if dot := strings.LastIndexByte(d.event, '.'); dot >= 0 {
		first, last = d.event[:dot], d.event[dot+1:]
	}
	text := func(s string) string { return string(encode(s)) }
	s, ms := strconv.FormatInt(d.now.Unix(), 10), strconv.FormatInt(d.now.UnixMilli(), 10)
	return []byte(strings.NewReplacer(
		`"{event}"`, text(d.event), `"{id}"`, text(d.id), `"{first}"`, text(first), `"{last}"`, text(last),
		`"{s}"`, s, `"{ms}"`, ms, `"{unix}"`, text(s), `"{time}"`, text(d.now.UTC().Format(time.RFC3339Nano)),
	).Replace(string(sample)))
}

// identifies reports whether the delivery id of item, which was made of sample,
// would be another one with another d.id.
func (d draft) identifies(item Item, sample []byte) bool {
	if strings.HasPrefix(item.DeliveryID, hash(item.Data)) {
		return bytes.Contains(sample, []byte(`"{id}"`))
	}
	return strings.Contains(item.DeliveryID, d.id)
}

// encode writes v as JSON on one line, without escapes for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil // only values of types that cannot be JSON, and ours are text, numbers, lists and maps
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
