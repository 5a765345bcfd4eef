package provider

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/tidwall/gjson"
)

// Limits of what a request may carry.
const (
	maxName  = 256    // bytes of an event's name
	maxID    = 256    // bytes of a delivery id; a longer one is replaced by its hash
	maxItems = 10_000 // events in one request
)

var (
	// ErrUnnamed says that no event name can be read: no source is present, the
	// values are blank, or the name is longer than 256 bytes.
	ErrUnnamed = errors.New("the event has no name")
	// ErrNotCatalogued says that a name the signature does not cover is none of
	// the sender's.
	ErrNotCatalogued = errors.New("the event is not one of the sender's")
	// ErrTooMany says that a request carries more than 10,000 events.
	ErrTooMany = errors.New("more than 10000 events in one request")
)

// ExtractorConfig says where the events of a request are and how they are named.
type ExtractorConfig struct {
	// Event and DeliveryID are sources as the package comment lists them. Event
	// is required; an empty DeliveryID is ["hash:body"].
	Event      []string
	DeliveryID []string
	// Batch is empty, "array" for a body that is a JSON list, or "json:PATH" for
	// a list inside it. Sources then read the item, and the request's headers.
	Batch string
	// Catalogue is the names allowed; empty allows all.
	Catalogue []string
}

// Item is one event of a request.
type Item struct {
	// Type is the event's name as the sender wrote it, at most 256 bytes.
	Type string
	// DeliveryID is the same for every retry of the event; at most 256 bytes
	// and, within a list, at most 5 more.
	DeliveryID string
	// Data is the event, byte for byte: the body, or one item of its list.
	Data []byte
}

// Extractor reads the events out of requests. It is safe for concurrent use.
type Extractor struct {
	event, id []source
	batch     string // a gjson path; "@this" for the body itself; empty for none
	catalogue map[string]bool
}

// NewExtractor compiles c. Its error names the sources that are wrong.
func NewExtractor(c ExtractorConfig) (*Extractor, error) {
	x, problems := c.compile()
	var all []error
	for _, name := range slices.Sorted(maps.Keys(problems)) {
		all = append(all, fmt.Errorf("%s: %w", name, problems[name]))
	}
	if err := errors.Join(all...); err != nil {
		return nil, err
	}
	return x, nil
}

// Problems returns what is wrong by the names of the settings: "event",
// "delivery_id" and "batch".
func (c ExtractorConfig) Problems() map[string]error {
	_, problems := c.compile()
	return problems
}

func (c ExtractorConfig) compile() (*Extractor, map[string]error) {
	x, problems := new(Extractor), map[string]error{}
	var err error
	if x.event, err = parseSources(c.Event, false); err != nil {
		problems["event"] = err
	}
	if len(c.Event) == 0 {
		problems["event"] = ErrNoEvent
	}
	if x.id, err = parseSources(c.DeliveryID, true); err != nil {
		problems["delivery_id"] = err
	}
	if x.batch, err = parseBatch(c.Batch); err != nil {
		problems["batch"] = err
	}
	if len(c.Catalogue) > 0 {
		x.catalogue = make(map[string]bool, len(c.Catalogue))
		for _, name := range c.Catalogue {
			x.catalogue[name] = true
		}
	}
	return x, problems
}

// wholeBody is gjson's path to the document itself.
const wholeBody = "@this"

func parseBatch(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if text == "array" {
		return wholeBody, nil
	}
	s, err := parseSource(text)
	if err != nil || s.kind != kindJSON {
		return "", fmt.Errorf(`%q is neither "array" nor "json:PATH"`, text)
	}
	return s.arg, nil
}

// Items returns the events of a request: one whose Data is body itself, or one
// for each item of a list. A list may be empty, and where it is absent the body
// is one event. A request is taken whole or not at all: the errors, which wrap
// ErrUnnamed, ErrNotCatalogued or ErrTooMany, are of the first item that has one.
func (x *Extractor) Items(h http.Header, body []byte) ([]Item, error) {
	whole := newRequest(h, body)
	if x.batch != "" && whole.json {
		if list := gjson.GetBytes(body, x.batch); list.IsArray() {
			return x.list(h, list)
		}
	}
	item, _, err := x.item(whole)
	if err != nil {
		return nil, err
	}
	return []Item{item}, nil
}

// list reads the items of a list. An id that an earlier item of the same list
// has, and one made of the item's bytes, get the item's place in the list as
// well: two events must not be taken for one.
func (x *Extractor) list(h http.Header, list gjson.Result) ([]Item, error) {
	items := []Item{}
	seen := map[string]bool{}
	var err error
	list.ForEach(func(_, value gjson.Result) bool {
		index := len(items)
		if index == maxItems {
			err = ErrTooMany
			return false
		}
		item, hashed, failed := x.item(&request{header: h, body: []byte(value.Raw), json: true})
		if failed != nil {
			err = fmt.Errorf("item %d: %w", index, failed)
			return false
		}
		if hashed || seen[item.DeliveryID] {
			item.DeliveryID += "#" + strconv.Itoa(index)
		}
		seen[item.DeliveryID] = true
		items = append(items, item)
		return true
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// item names one event, and says whether its id is only the hash of its bytes.
func (x *Extractor) item(r *request) (item Item, hashed bool, err error) {
	name, _ := r.first(x.event)
	if name == "" || len(name) > maxName {
		return Item{}, false, ErrUnnamed
	}
	if x.catalogue != nil && !x.catalogue[name] {
		return Item{}, false, fmt.Errorf("%q: %w", name, ErrNotCatalogued)
	}
	id, kind := r.first(x.id)
	if id == "" {
		id, kind = hash(r.body), kindHash
	}
	if len(id) > maxID {
		id = hash([]byte(id))
	}
	return Item{Type: name, DeliveryID: id, Data: r.body}, kind == kindHash, nil
}
