package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The shop is a sender that jethook has no preset for. Its requests are signed
// here, with nothing of jethook's.
const (
	shopSecret    = "shop-secret-8f14e45f"
	shopOldSecret = "shop-secret-before-c9f0f895"
)

// shop is an entry of sources: the shop under that name, and more keys.
func shop(name string, more ...string) string {
	return fmt.Sprintf(`{name: %s, verify: {algorithm: hmac-sha256, signature: {header: X-Shop-Signature, encoding: hex, prefix: "sha256="}, `+
		`timestamp: {header: X-Shop-Timestamp, unit: s}, signed: "{timestamp}.{body}"}, delivery_id: ["header:X-Shop-Delivery", "json:id", "hash:body"], secrets: [%s]%s}`,
		name, shopSecret, also(more))
}

// source is an entry of sources that has a preset.
func source(name, preset, secret string, more ...string) string {
	return fmt.Sprintf("{name: %s, preset: %s, secrets: [%q]%s}", name, preset, secret, also(more))
}

func also(more []string) string {
	if len(more) == 0 {
		return ""
	}
	return ", " + strings.Join(more, ", ")
}

// sources is the key of these entries.
func sources(entries ...string) string { return list("sources", entries) }

// endpoints is the key of these entries.
func endpoints(entries ...string) string { return list("endpoints", entries) }

func list(key string, entries []string) string {
	var b strings.Builder
	b.WriteString(key + ":\n")
	for _, entry := range entries {
		b.WriteString("  - " + entry + "\n")
	}
	return b.String()
}

// endpoint is an entry of endpoints that gets every event.
func endpoint(name string, r *receiver, more ...string) string {
	return fmt.Sprintf("{name: %s, url: %q, all_events: true, secrets: [%s]%s}", name, r.server.URL, endpointSecret, also(more))
}

// endpointSecret signs deliveries.
const endpointSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// order is a body of the shop's.
func order(id string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"type":"order.paid","amount":12.50}`, id)
}

// signShop signs as the shop does, with any secret and at any time.
func signShop(secret string, at time.Time, body []byte) http.Header {
	seconds := strconv.FormatInt(at.Unix(), 10)
	return http.Header{
		"Content-Type":     {"application/json"},
		"X-Shop-Timestamp": {seconds},
		"X-Shop-Signature": {"sha256=" + hex.EncodeToString(hmacSHA256(secret, seconds+"."+string(body)))},
	}
}

// signStripe signs as Stripe does; so does its own library, in the tests of
// providers.
func signStripe(secret string, at time.Time, body []byte) http.Header {
	mac := hmacSHA256(secret, fmt.Sprintf("%d.%s", at.Unix(), body))
	return http.Header{"Stripe-Signature": {fmt.Sprintf("t=%d,v1=%x", at.Unix(), mac)}}
}

func hmacSHA256(secret, text string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// sell posts a signed body to the source, which is the shop under some name.
func (b *bridge) sell(source string, body []byte) answer {
	b.t.Helper()
	return b.post(source, signShop(shopSecret, time.Now(), body), body)
}

// sold posts a signed order that must be stored, and returns its event's id.
func (b *bridge) sold(t *testing.T, id string) string {
	t.Helper()
	return b.sell("shop", order(id)).accepted(t).ID
}
