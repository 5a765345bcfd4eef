package provider

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jethook/jethook/internal/signature"
)

//go:embed presets/*.json
var presets embed.FS

// ErrNoScheme says that a preset has no signature scheme, because its sender
// publishes none: the operator writes the verify block.
var ErrNoScheme = errors.New("write a verify block")

// ErrNoEvent says that a preset does not know where events are named: the
// operator writes event.
var ErrNoEvent = errors.New(`write event, for example ["json:type"]`)

// Preset is what is known of one sender. The zero value knows nothing; a source
// without a preset fills it from its configuration.
type Preset struct {
	// Name is the name of the preset's file: "chip-collect".
	Name string `json:"-"`
	// Title is what a person calls the sender: "CHIP Collect".
	Title string `json:"title"`
	// Docs says where the facts come from and what an operator must know.
	Docs string `json:"docs"`
	// Scheme is how the sender signs. It is nil where that is not published.
	Scheme *signature.Scheme `json:"verify"`
	// Event and DeliveryID are sources as the package comment lists them. An
	// empty Event must be filled by the operator; an empty DeliveryID means the
	// hash of the body.
	Event      []string `json:"event"`
	DeliveryID []string `json:"delivery_id"`
	// Batch is empty, "array" or "json:PATH": where the list of events is.
	Batch string `json:"batch"`
	// Handshake is a name NewHandshake knows, or empty.
	Handshake string `json:"handshake"`
	// Headers are the request headers stored with an event. None is a credential.
	Headers []string `json:"keep_headers"`
	// EventUnsigned says that the signature does not cover the event's name.
	EventUnsigned bool `json:"event_unsigned"`
	// RejectStatus answers a request whose signature is wrong; 0 is the default.
	RejectStatus int `json:"reject_status"`
	// Timeout is how long the sender waits for an answer, as a Go duration
	// ("20s"); empty where it is not known.
	Timeout string `json:"timeout"`
	// Catalogue is every event of the sender, for suggestions and for checking
	// names that are not signed. Empty where the list is open-ended.
	Catalogue []string `json:"catalogue"`
	// Sample is the body of a sample event with the placeholders of Compose.
	Sample json.RawMessage `json:"sample"`
}

// Lookup returns the preset called name. The result is the caller's own. The
// error for an unknown name suggests the nearest one there is.
func Lookup(name string) (Preset, error) {
	text, err := presets.ReadFile("presets/" + name + ".json")
	if err != nil {
		return Preset{}, unknown(name)
	}
	p := Preset{Name: name}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Preset{}, fmt.Errorf("reading preset %s: %w", name, err)
	}
	return p, nil
}

// Names returns the names of all presets in alphabetical order.
func Names() []string {
	files, err := fs.Glob(presets, "presets/*.json")
	if err != nil {
		return nil // only a malformed pattern, and ours is a constant
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(file, "presets/"), ".json")
	}
	slices.Sort(files)
	return files
}

// Check says whether p can be used as it stands. Its errors wrap ErrNoScheme or
// ErrNoEvent and tell the operator what to write. Callers check after they have
// laid the operator's settings over the preset.
func (p Preset) Check() error {
	if p.Scheme == nil {
		return fmt.Errorf("the signature scheme of %s is not published: %w", p.Name, ErrNoScheme)
	}
	if len(p.Event) == 0 {
		return fmt.Errorf("%s does not say where events are named: %w", p.Name, ErrNoEvent)
	}
	return nil
}

// ExtractorConfig returns the configuration of p's extractor. Its catalogue is
// set only where names are not signed: a new event of a sender that signs its
// names must not be lost because we have not heard of it.
func (p Preset) ExtractorConfig() ExtractorConfig {
	c := ExtractorConfig{Event: p.Event, DeliveryID: p.DeliveryID, Batch: p.Batch}
	if p.EventUnsigned {
		c.Catalogue = p.Catalogue
	}
	return c
}

// unknown is the error for a name that no preset has.
func unknown(name string) error {
	nearest, best := "", len(name)/2+1
	for _, candidate := range Names() {
		if d := distance(name, candidate); d < best {
			nearest, best = candidate, d
		}
	}
	if nearest == "" {
		return fmt.Errorf("no preset %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return fmt.Errorf("no preset %q; did you mean %q?", name, nearest)
}

// distance is the number of bytes to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
