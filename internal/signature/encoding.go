package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
)

// Encoding is how the bytes of a signature are written as text.
type Encoding string

// The encodings. Padding is optional for both forms of base64; letters of hex
// may be of either case.
const (
	Hex       Encoding = "hex"
	Base64    Encoding = "base64"
	Base64URL Encoding = "base64url"
)

// Strict, so that bits which decode to nothing cannot be set.
var (
	strictBase64    = base64.RawStdEncoding.Strict()
	strictBase64URL = base64.RawURLEncoding.Strict()
)

func (e Encoding) validate() error {
	switch e {
	case Hex, Base64, Base64URL:
		return nil
	}
	return notAllowed("signature encoding", e, []Encoding{Hex, Base64, Base64URL})
}

// decode appends the bytes that text stands for to dst.
func (e Encoding) decode(dst, text []byte) ([]byte, bool) {
	switch e {
	case Hex:
		out, err := hex.AppendDecode(dst, text)
		return out, err == nil
	case Base64:
		return decodeBase64(strictBase64, dst, text)
	case Base64URL:
		return decodeBase64(strictBase64URL, dst, text)
	}
	return nil, false
}

// encode is the opposite of decode: lower-case hex, base64 with padding.
func (e Encoding) encode(signature []byte) string {
	switch e {
	case Hex:
		return hex.EncodeToString(signature)
	case Base64:
		return base64.StdEncoding.EncodeToString(signature)
	default:
		return base64.URLEncoding.EncodeToString(signature)
	}
}

// decodeBase64 decodes text whose padding is either right or left out. Line
// breaks, which encoding/base64 skips, are refused.
func decodeBase64(encoding *base64.Encoding, dst, text []byte) ([]byte, bool) {
	if bytes.ContainsAny(text, "\r\n") {
		return nil, false
	}
	if len(text)%4 == 0 {
		text = bytes.TrimSuffix(text, []byte("="))
		text = bytes.TrimSuffix(text, []byte("="))
	}
	out, err := encoding.AppendDecode(dst, text)
	return out, err == nil
}
