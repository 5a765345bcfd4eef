package signature

// KeyEncoding is how a key is written as text. It is always said and never
// guessed: whsec_ begins base64 in Standard Webhooks and is part of the key in
// Stripe and Clink.
type KeyEncoding string

// The encodings of keys.
const (
	KeyRaw    KeyEncoding = "raw"
	KeyBase64 KeyEncoding = "base64"
	KeyHex    KeyEncoding = "hex"
	KeyPEM    KeyEncoding = "pem"
	KeySPKI   KeyEncoding = "spki-base64"
)
