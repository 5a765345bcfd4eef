package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const sourceName = "shop"

// eventTypes are patterns' food: order.* and invoice.* are all there is.
var eventTypes = []string{"order.paid", "order.refunded", "invoice.sent", "invoice.paid"}

// signer signs what is sent and verifies what is delivered, with a key of its
// own: what another bridge on this machine signed is not taken for ours.
type signer struct {
	*webhooks.Webhook
	secret string // as a configuration has it
}

func newSigner() (signer, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return signer{}, err
	}
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
	webhook, err := webhooks.NewWebhook(secret)
	return signer{webhook, secret}, err
}

// header is what a provider sends with a body.
func (s signer) header(id string, body []byte) (http.Header, error) {
	now := time.Now()
	signature, err := s.Sign(id, now, body)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	header.Set(webhooks.HeaderWebhookID, id)
	header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(webhooks.HeaderWebhookSignature, signature)
	return header, nil
}

// bodyOf is a function of the id, so that the receiver can tell whether a body
// is whole.
func bodyOf(id string) []byte {
	sum := fnv.New32a()
	sum.Write([]byte(id))
	n := sum.Sum32()
	return fmt.Appendf(nil, `{"type":%q,"id":%q,"n":%d,"pad":%q}`, eventTypes[n%4], id, n, fmt.Sprintf("%0*d", 200+n%400, n))
}

// idOf reads the id from a body.
func idOf(body []byte) (string, error) {
	var is struct{ ID string }
	if err := json.Unmarshal(body, &is); err != nil {
		return "", err
	}
	return is.ID, nil
}
