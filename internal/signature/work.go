package signature

import (
	"crypto/hmac"
	_ "crypto/sha1" // crypto.Hash makes the hashes that are linked in: these three
	_ "crypto/sha256"
	_ "crypto/sha512"
	"hash"
)

// work is what one request needs while it is verified or signed. It is pooled:
// hash states keep the key's first block computed, and buffers keep their space.
type work struct {
	input      input
	values     []string // of the parts of the signed string
	texts      []string // that hold signatures
	candidates []string
	hashes     []hash.Hash // one per key for secrets, one in all for digests
	sums       []byte      // what the hashes gave, one after the other
	text       []byte      // a piece of text on its way into a hash or decoder
	decoded    []byte
	message    []byte // the signed string in one piece
}

// maxMessage is the largest message buffer that is kept for the next request.
const maxMessage = 64 << 10

// maxEncoded is the longest signature there is: 8192 bits in hex.
const maxEncoded = maxRSABits / 8 * 2

// newWork makes the hash states that requests of the plan need.
func (p *plan) newWork(keys []Key) *work {
	w := &work{}
	switch {
	case p.name == SHA256Prefix, p.family.public() && p.hash != 0:
		w.hashes = []hash.Hash{p.hash.New()}
	case p.family == secretFamily:
		for _, k := range keys {
			w.hashes = append(w.hashes, hmac.New(p.hash.New, k.material().secret))
		}
	}
	return w
}

// reset lets go of everything that belongs to a request.
func (w *work) reset() {
	w.input = input{}
	clear(w.values)
	clear(w.texts)
	clear(w.candidates)
	w.values, w.texts, w.candidates = w.values[:0], w.texts[:0], w.candidates[:0]
	if cap(w.message) > maxMessage {
		w.message = nil
	}
}

// sum appends the hash of the signed string under the i-th key to w.sums.
func (p *plan) sum(w *work, i int, k Key) {
	if p.name == SHA256Prefix {
		w.hashes[0].Reset()
		w.hashes[0].Write(k.material().secret)
		p.hashParts(w, w.hashes[0])
		return
	}
	w.hashes[i].Reset()
	p.hashParts(w, w.hashes[i])
}

// hashParts feeds the signed string to h, piece by piece, and appends the
// result to w.sums.
func (p *plan) hashParts(w *work, h hash.Hash) {
	for i, part := range p.signed {
		if part.kind == bodyPart {
			h.Write(w.input.Body)
			continue
		}
		w.text = append(w.text[:0], w.values[i]...)
		h.Write(w.text)
	}
	w.sums = h.Sum(w.sums)
}

// payload gives what a public key algorithm signs: the digest of the signed
// string, or for Ed25519, which reads it twice, the string in one piece.
func (p *plan) payload(w *work) []byte {
	if p.family != ed25519Family {
		w.sums = w.sums[:0]
		w.hashes[0].Reset()
		p.hashParts(w, w.hashes[0])
		return w.sums
	}
	if len(p.signed) == 1 && p.signed[0].kind == bodyPart {
		return w.input.Body
	}
	w.message = w.message[:0]
	for i, part := range p.signed {
		if part.kind == bodyPart {
			w.message = append(w.message, w.input.Body...)
		} else {
			w.message = append(w.message, w.values[i]...)
		}
	}
	return w.message
}
