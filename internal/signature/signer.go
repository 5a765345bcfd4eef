package signature

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Signer signs requests as one scheme says. It is safe for concurrent use and
// never changes.
type Signer struct {
	plan plan
	keys []Key
	pool sync.Pool
}

// NewSigner checks the scheme and its keys, 1 to 16 that ParseSigningKey made;
// with None there is none. Where signatures are a list, or in numbered headers,
// each key signs; elsewhere the first one does and the others are not used. A
// signature in the body cannot be produced, and such a scheme is refused.
func NewSigner(s Scheme, keys []Key) (*Signer, error) {
	p, err := s.compile()
	if err != nil {
		return nil, err
	}
	if p.place.JSON != "" || p.place.Form != "" {
		return nil, errors.New("a signature inside the body cannot be produced, only verified")
	}
	if err := p.fit(keys); err != nil {
		return nil, err
	}
	for _, k := range keys {
		if p.family.public() && k.material().private == nil {
			return nil, fmt.Errorf("signing with %s needs private keys", p.name)
		}
	}
	if p.place.Separator == "" && p.place.numbered == nil && len(keys) > 1 {
		keys = keys[:1]
	}
	signer := &Signer{plan: p, keys: slices.Clone(keys)}
	signer.pool.New = func() any { return signer.plan.newWork(signer.keys) }
	return signer, nil
}

// Sign gives the headers to add to r: the signature, and the time of now where
// the scheme has one outside the body. What else is signed must be in r already,
// such as webhook-id; Sign returns an error that wraps ErrMissing if it is not.
func (s *Signer) Sign(r Request, now time.Time) (http.Header, error) {
	header := http.Header{}
	if s.plan.family == noFamily {
		return header, nil
	}
	w := s.pool.Get().(*work)
	defer s.pool.Put(w)
	defer w.reset()
	w.input.Request = r

	timestamp, err := s.time(w, now)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if w.values, err = s.plan.resolve(&w.input, timestamp, w.values); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	signatures, err := s.signatures(w)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if s.plan.timestamp.Header != "" {
		header[s.plan.timestamp.Header] = []string{timestamp}
	}
	if s.plan.place.numbered == nil {
		header[s.plan.place.Header] = []string{s.plan.place.write(s.plan.timestamp.Field, timestamp, signatures)}
		return header, nil
	}
	for i, signature := range signatures {
		header[s.plan.place.numbered[i]] = []string{s.plan.place.Prefix + signature}
	}
	return header, nil
}

// time gives the text of the time that is signed: now, or what the body says.
func (s *Signer) time(w *work, now time.Time) (string, error) {
	switch {
	case s.plan.timePath != nil:
		text, _, err := s.plan.readTime(&w.input, nil)
		return text, err
	case s.plan.timestamp.present():
		return s.plan.timestamp.Written().format(now), nil
	}
	return "", nil
}

// signatures gives the text of one signature per key.
func (s *Signer) signatures(w *work) ([]string, error) {
	out := make([]string, 0, len(s.keys))
	for i, k := range s.keys {
		switch {
		case s.plan.family == tokenFamily:
			out = append(out, string(k.material().secret))
		case s.plan.family == basicFamily:
			out = append(out, "Basic "+base64.StdEncoding.EncodeToString(k.material().secret))
		case s.plan.family.public():
			signature, err := s.plan.signPrivate(k, s.plan.payload(w))
			if err != nil {
				return nil, err
			}
			out = append(out, s.plan.place.Encoding.encode(signature))
		default:
			w.sums = w.sums[:0]
			s.plan.sum(w, i, k)
			out = append(out, s.plan.place.Encoding.encode(w.sums))
		}
	}
	return out, nil
}
