package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/http"
	"strings"
)

// signingKey signs every request, as Standard Webhooks does: HMAC-SHA256 over
// "id.timestamp.body".
const signingKey = "nothing secret, only for measures"

// Header names of Standard Webhooks, as net/http writes them.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

const signaturePrefix = "v1,"

// secret is the key as a configuration has it.
func secret() string { return "whsec_" + base64.StdEncoding.EncodeToString([]byte(signingKey)) }

func newMAC() hash.Hash { return hmac.New(sha256.New, []byte(signingKey)) }

// verified reports whether the request carries the signature of body.
func verified(header http.Header, body []byte) bool {
	encoded, ok := strings.CutPrefix(header.Get(headerSignature), signaturePrefix)
	if !ok {
		return false
	}
	got, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	mac := newMAC()
	mac.Write([]byte(header.Get(headerID) + "." + header.Get(headerTimestamp) + "."))
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}
