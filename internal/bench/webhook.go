package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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

// dress adds what a delivery of jethook's carries beside its body: the signature
// and as many headers, of the same length.
func dress(header http.Header, msg jetstream.Msg) {
	id, now := msg.Headers().Get(nats.MsgIdHdr), time.Now()
	timestamp := strconv.FormatInt(now.Unix(), 10)
	mac := newMAC()
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(msg.Data())
	for name, value := range map[string]string{
		headerID:          id,
		headerTimestamp:   timestamp,
		headerSignature:   signaturePrefix + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
		"Ce-Specversion":  "1.0",
		"Ce-Id":           id,
		"Ce-Source":       "/prod/shop",
		"Ce-Type":         "order.paid",
		"Ce-Time":         now.UTC().Format(time.RFC3339Nano),
		"Traceparent":     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"Jethook-Attempt": "1",
		"User-Agent":      "jethook/devel",
	} {
		header.Set(name, value)
	}
}

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
