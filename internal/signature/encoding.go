package signature

// Encoding is how the bytes of a signature are written as text.
type Encoding string

// The encodings. Padding is optional for both forms of base64; letters of hex
// may be of either case.
const (
	Hex       Encoding = "hex"
	Base64    Encoding = "base64"
	Base64URL Encoding = "base64url"
)
