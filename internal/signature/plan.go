package signature

import (
	"errors"
	"fmt"
	"time"
)

// plan is a Scheme compiled: what Verifier and Signer share.
type plan struct {
	algorithmEntry
	place     place
	timestamp Timestamp // Header is canonical
	timePath  []string  // of Timestamp.JSON
	signed    template
}

// Validate reports what is wrong with s: a word that is not allowed, with those
// that are, or parts that do not fit together. A signed time that is not part
// of the signed string is refused, since anyone could replace it.
func (s Scheme) Validate() error {
	_, err := s.compile()
	return err
}

func (s Scheme) compile() (plan, error) {
	entry, err := s.Algorithm.lookup()
	if err != nil {
		return plan{}, err
	}
	p := plan{algorithmEntry: entry, timestamp: s.Timestamp}
	if _, err := s.KeyEncoding.forFamily(entry.family); err != nil {
		return plan{}, err
	}
	if !entry.family.signs() && (s.Signed != "" || s.Timestamp != Timestamp{}) {
		return plan{}, fmt.Errorf("%s signs nothing: signed and timestamp must be left out", s.Algorithm)
	}
	if entry.family == noFamily {
		if s.Signature != (Location{}) {
			return plan{}, errors.New("none verifies nothing: signature must be left out")
		}
		return p, nil
	}
	if p.place, err = s.Signature.compile(entry.family); err != nil {
		return plan{}, fmt.Errorf("signature: %w", err)
	}
	if err := p.compileTimestamp(); err != nil {
		return plan{}, fmt.Errorf("timestamp: %w", err)
	}
	if p.signed, err = parseTemplate(s.Signed); err != nil {
		return plan{}, err
	}
	p.signed.useTimestamp(p.timestamp)
	return p, p.checkCoverage()
}

func (p *plan) compileTimestamp() error {
	err := p.timestamp.validate(p.place.Location)
	if err != nil {
		return err
	}
	if p.timestamp.Header != "" {
		p.timestamp.Header, err = headerName(p.timestamp.Header)
	}
	if p.timestamp.JSON != "" {
		p.timePath, err = jsonPath(p.timestamp.JSON)
	}
	return err
}

// checkCoverage makes sure that the template has a time if it asks for one, and
// signs the time there is.
func (p *plan) checkCoverage() error {
	covered := p.signed.covers(timestampPart)
	switch {
	case covered && !p.timestamp.present():
		return errors.New("signed has {timestamp}, but there is no timestamp")
	case covered || !p.timestamp.present():
		return nil
	case p.timestamp.JSON != "" && p.signed.covers(bodyPart):
		return nil
	}
	return errors.New("the timestamp is not part of the signed string, so anyone could replace it; add {timestamp} to signed")
}

// readTime gives the text of the time as received, and the time. Both are zero
// if the sender signs none.
func (p *plan) readTime(in *input, texts []string) (string, time.Time, error) {
	var text string
	var err error
	switch {
	case p.timestamp.Header != "":
		text, err = in.header(p.timestamp.Header)
	case p.timestamp.Field != "":
		text, err = p.place.field(texts[0], p.timestamp.Field)
	case p.timePath != nil:
		text, err = in.json(p.timePath)
	default:
		return "", time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, err
	}
	t, ok := p.timestamp.Unit.parse(text)
	if !ok {
		return "", time.Time{}, fmt.Errorf("%w: the timestamp is not a time", ErrMismatch)
	}
	return text, t, nil
}

// resolve appends the text of every part of the signed string, empty for the
// body, which is used where it lies.
func (p *plan) resolve(in *input, timestamp string, to []string) ([]string, error) {
	for _, part := range p.signed {
		var text string
		var err error
		switch part.kind {
		case literalPart:
			text = part.text
		case timestampPart:
			text = timestamp
		case headerPart:
			text, err = in.header(part.text)
		case jsonPart:
			text, err = in.json(part.path)
		case methodPart:
			text, err = in.given("method", in.Method)
		case urlPart:
			text, err = in.given("URL", in.URL)
		}
		if err != nil {
			return nil, err
		}
		to = append(to, text)
	}
	return to, nil
}

// given refuses an empty part of the request line: a caller that left it out
// must not be told that the sender signed something else.
func (in *input) given(name, text string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("%w: no %s", ErrMissing, name)
	}
	return text, nil
}
