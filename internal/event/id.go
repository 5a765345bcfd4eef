package event

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
)

// ID identifies an event: "evt_" and 26 characters of lower-case base32. It is
// a function of environment, source and delivery id alone, so that a
// redelivery, however late, has the same ID.
type ID string

const (
	idPrefix = "evt_"
	idBytes  = 16
)

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID returns the ID of the delivery that source named deliveryID: the first
// 128 bits of a SHA-256 over the three parts, each preceded by its length so
// that no two triples share an input.
func NewID(env Env, source, deliveryID string) ID {
	input := make([]byte, 0, len(env)+len(source)+len(deliveryID)+24)
	for _, part := range [...]string{string(env), source, deliveryID} {
		input = binary.BigEndian.AppendUint64(input, uint64(len(part)))
		input = append(input, part...)
	}
	sum := sha256.Sum256(input)
	return ID(idPrefix + idEncoding.EncodeToString(sum[:idBytes]))
}

// Sum returns the 128 bits that the ID writes out, for use as a compact key.
// Text that NewID cannot have made is an error.
func (id ID) Sum() (sum [idBytes]byte, err error) {
	if len(id) != len(idPrefix)+26 || id[:len(idPrefix)] != idPrefix {
		return sum, errors.New("not an event id")
	}
	if _, err := idEncoding.Decode(sum[:], []byte(id[len(idPrefix):])); err != nil {
		return sum, errors.New("not an event id")
	}
	return sum, nil
}
