package signature

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// What Verify answers, wrapped with the detail. Neither they nor the detail
// contain anything of a key or of what was expected.
var (
	// ErrMissing means that the signature, or a part of the request that it
	// signs, is not there.
	ErrMissing = errors.New("signature missing")
	// ErrMismatch means that no signature in the request is genuine.
	ErrMismatch = errors.New("signature mismatch")
	// ErrExpired means that the signature is genuine and its time too far from
	// now, in the past or in the future.
	ErrExpired = errors.New("signature expired")
)

// Verifier verifies requests against one scheme. It is safe for concurrent use
// and never changes.
type Verifier struct {
	plan plan
	keys []Key
	pool sync.Pool
}

// NewVerifier checks the scheme and its keys, of which any may match. There are
// 1 to 16, and all of the scheme's algorithm; with None there is none.
func NewVerifier(s Scheme, keys []Key) (*Verifier, error) {
	p, err := s.compile()
	if err != nil {
		return nil, err
	}
	if err := p.fit(keys); err != nil {
		return nil, err
	}
	v := &Verifier{plan: p, keys: slices.Clone(keys)}
	v.pool.New = func() any { return v.plan.newWork(v.keys) }
	return v, nil
}

// Verify reports whether r is signed as the scheme says by one of the keys, at a
// time within the tolerance of now. Its errors wrap ErrMissing, ErrMismatch or
// ErrExpired, and no others. It copies neither the body nor the key.
func (v *Verifier) Verify(r Request, now time.Time) error {
	if v.plan.family == noFamily {
		return nil
	}
	w := v.pool.Get().(*work)
	defer v.pool.Put(w)
	defer w.reset()
	w.input.Request = r

	signed, err := v.read(w)
	if err != nil {
		return err
	}
	if !v.matches(w) {
		return ErrMismatch
	}
	if v.plan.timestamp.present() && !v.plan.timestamp.tolerates(signed, now) {
		return fmt.Errorf("%w: signed %s, tolerance %s", ErrExpired,
			signed.UTC().Format(time.RFC3339), v.plan.timestamp.Tolerance)
	}
	return nil
}

// read collects the candidates and the pieces of the signed string, and gives
// the time of signing.
func (v *Verifier) read(w *work) (time.Time, error) {
	var err error
	if w.texts, err = v.plan.place.texts(&w.input, w.texts); err != nil {
		return time.Time{}, err
	}
	limit := maxCandidates
	if v.plan.family.public() {
		limit = maxPublicCandidates
	}
	if w.candidates, err = v.plan.place.candidates(w.texts, limit, w.candidates); err != nil {
		return time.Time{}, err
	}
	text, signed, err := v.plan.readTime(&w.input, w.texts)
	if err != nil {
		return time.Time{}, err
	}
	w.values, err = v.plan.resolve(&w.input, text, w.values)
	return signed, err
}

func (v *Verifier) matches(w *work) bool {
	if len(w.candidates) == 0 {
		return false
	}
	switch {
	case v.plan.family == secretFamily:
		return v.matchesSum(w)
	case v.plan.family.public():
		return v.matchesPublic(w)
	default:
		return v.matchesToken(w)
	}
}

// matchesSum compares every candidate with the sum of every key, whatever
// matched before.
func (v *Verifier) matchesSum(w *work) bool {
	w.sums = w.sums[:0]
	for i, k := range v.keys {
		v.plan.sum(w, i, k)
	}
	size := v.plan.hash.Size()
	matched := 0
	for _, candidate := range w.candidates {
		got, ok := v.decode(w, candidate)
		if !ok {
			continue
		}
		for i := range v.keys {
			matched |= subtle.ConstantTimeCompare(got, w.sums[i*size:][:size])
		}
	}
	return matched == 1
}

// matchesPublic tries every key on every candidate. All of it is public, so the
// work is the same only to keep the rule without exceptions.
func (v *Verifier) matchesPublic(w *work) bool {
	payload := v.plan.payload(w)
	matched := false
	for _, candidate := range w.candidates {
		got, ok := v.decode(w, candidate)
		if !ok {
			continue
		}
		for _, k := range v.keys {
			matched = v.plan.verifyPublic(k, payload, got) || matched
		}
	}
	return matched
}

// matchesToken compares digests: they have one length, so that the time tells
// nothing of the key's.
func (v *Verifier) matchesToken(w *work) bool {
	matched := 0
	for _, candidate := range w.candidates {
		if v.plan.family == basicFamily && !w.decodeCredentials(candidate) {
			continue
		}
		if v.plan.family == tokenFamily {
			w.decoded = append(w.decoded[:0], candidate...)
		}
		got := sha256.Sum256(w.decoded)
		for _, k := range v.keys {
			matched |= subtle.ConstantTimeCompare(got[:], k.material().digest[:])
		}
	}
	return matched == 1
}

// decode gives the bytes of a candidate, valid until the next call.
func (v *Verifier) decode(w *work, candidate string) ([]byte, bool) {
	if len(candidate) > maxEncoded {
		return nil, false
	}
	w.text = append(w.text[:0], candidate...)
	var ok bool
	w.decoded, ok = v.plan.place.Encoding.decode(w.decoded[:0], w.text)
	return w.decoded, ok
}

// decodeCredentials leaves "user:password" of an Authorization header (RFC 7617)
// in w.decoded.
func (w *work) decodeCredentials(header string) bool {
	scheme, credentials, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return false
	}
	w.text = append(w.text[:0], strings.TrimSpace(credentials)...)
	w.decoded, ok = decodeBase64(strictBase64, w.decoded[:0], w.text)
	return ok
}
