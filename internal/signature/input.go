package signature

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Request is what is read of an HTTP request to verify it, or to sign it.
type Request struct {
	Method string
	// URL is the address the sender used. Behind a proxy that is the public
	// one, which only the caller knows. Needed by schemes that sign {url}.
	URL string
	// Header has canonical names, as net/http and Header.Set leave them.
	Header http.Header
	// Body is the body as received, byte for byte. It is not changed, and
	// bounding it is the caller's part.
	Body []byte
}

// maxText bounds the text a signature is searched in.
const maxText = 8 << 10

// input reads a Request for a plan and remembers the body once it is parsed.
type input struct {
	Request
	parsed bool
	root   map[string]json.RawMessage
}

// header gives the one value of a canonical name. Two values are refused: the
// sender signed one of them, and a later reader might take the other.
func (in *input) header(name string) (string, error) {
	switch values := in.Header[name]; {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", fmt.Errorf("%w: no header %s", ErrMissing, name)
	case len(values) > 1:
		return "", fmt.Errorf("%w: header %s more than once", ErrMismatch, name)
	default:
		return values[0], nil
	}
}

// json gives the string or number at path, a number as it is written. Where an
// object has a name twice the last one counts, as in encoding/json; other
// parsers take the first, so what a scheme reads this way is to be trusted for
// the signature only.
func (in *input) json(path []string) (string, error) {
	if !in.parsed {
		in.parsed = true
		if json.Unmarshal(in.Body, &in.root) != nil {
			in.root = nil
		}
	}
	value := in.root[path[0]]
	for _, name := range path[1:] {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			object = nil // not an object: the path ends in nothing
		}
		value = object[name]
	}
	if text, ok := scalar(value); ok {
		return text, nil
	}
	return "", fmt.Errorf("%w: no JSON string or number at %s in the body", ErrMissing, strings.Join(path, "."))
}

// scalar gives the text of a JSON string that is not empty, or of a number.
func scalar(value json.RawMessage) (string, bool) {
	if len(value) == 0 {
		return "", false
	}
	switch c := value[0]; {
	case c == '"':
		var text string
		err := json.Unmarshal(value, &text)
		return text, err == nil && text != ""
	case c == '-' || '0' <= c && c <= '9':
		return string(value), true
	}
	return "", false
}

// form gives the one value of a field of a URL-encoded body, without decoding
// the other fields' values.
func (in *input) form(name string) (string, error) {
	found, text := false, ""
	for pair := range bytes.SplitSeq(in.Body, []byte{'&'}) {
		key, value, _ := bytes.Cut(pair, []byte{'='})
		if len(key) > 3*len(name) { // longer than name with every byte escaped
			continue
		}
		if plain, err := url.QueryUnescape(string(key)); err != nil || plain != name {
			continue
		}
		if found {
			return "", fmt.Errorf("%w: form field %q more than once", ErrMismatch, name)
		}
		plain, err := url.QueryUnescape(string(value))
		if err != nil {
			return "", fmt.Errorf("%w: form field %q is not URL-encoded", ErrMismatch, name)
		}
		found, text = true, plain
	}
	if text == "" {
		return "", fmt.Errorf("%w: no form field %q in the body", ErrMissing, name)
	}
	return text, nil
}
