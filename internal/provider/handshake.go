package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/jethook/jethook/internal/signature"
)

// maxChallenge bounds what Slack's challenge makes us repeat; its own are 53 bytes.
const maxChallenge = 1024

// Reply is the answer to a handshake. A Status of 400 or more refuses the
// request and has no body: write it as any other error.
type Reply struct {
	Status      int
	ContentType string // empty without a body
	Body        []byte
}

// Handshake answers the requests by which a sender finds out whether an address
// is really ours. It is safe for concurrent use. A nil Handshake answers none.
type Handshake struct {
	answer func(r *http.Request, body []byte) (Reply, bool)
}

// NewHandshake returns the handshake called name: slack, zoom, x-crc, discord or
// status-only. Zoom and X prove themselves with an HMAC under the first of keys,
// which must be HMAC-SHA256 keys; the others need none. An empty name is nil.
func NewHandshake(name string, keys []signature.Key) (*Handshake, error) {
	switch name {
	case "":
		return nil, nil
	case "slack":
		return &Handshake{answerSlack}, nil
	case "discord":
		return &Handshake{answerDiscord}, nil
	case "status-only":
		return &Handshake{answerXero}, nil
	case "zoom":
		mac, err := newMAC(keys, signature.Hex)
		if err != nil {
			return nil, fmt.Errorf("handshake zoom: %w", err)
		}
		return &Handshake{zoom{mac}.answer}, nil
	case "x-crc":
		mac, err := newMAC(keys, signature.Base64)
		if err != nil {
			return nil, fmt.Errorf("handshake x-crc: %w", err)
		}
		return &Handshake{crc{mac}.answer}, nil
	default:
		return nil, fmt.Errorf("handshake %q is not one of slack, zoom, x-crc, discord, status-only", name)
	}
}

// Answer answers r if it is the handshake, and says whether it is. It is asked
// twice: for a request that is not a POST, before the method is refused, with a
// nil body; and for a POST once its signature is verified, never before, since
// an unverified caller must not learn the HMAC of anything but X's challenge.
func (h *Handshake) Answer(r *http.Request, body []byte) (reply Reply, handled bool) {
	if h == nil {
		return Reply{}, false
	}
	return h.answer(r, body)
}

// answerSlack repeats the challenge of url_verification:
// https://docs.slack.dev/reference/events/url_verification.
func answerSlack(r *http.Request, body []byte) (Reply, bool) {
	if r.Method != http.MethodPost || !validJSON(body) || text(body, "type") != "url_verification" {
		return Reply{}, false
	}
	challenge := text(body, "challenge")
	if challenge == "" || len(challenge) > maxChallenge {
		return Reply{Status: http.StatusBadRequest}, true
	}
	return jsonReply(map[string]string{"challenge": challenge}), true
}

// answerDiscord answers PING, which has type 0 where Discord sends events and
// type 1, and no event, where it sends interactions:
// https://docs.discord.com/developers/events/webhook-events#webhook-types and
// https://docs.discord.com/developers/interactions/overview.
func answerDiscord(r *http.Request, body []byte) (Reply, bool) {
	if r.Method != http.MethodPost || !validJSON(body) {
		return Reply{}, false
	}
	kind := gjson.GetBytes(body, "type")
	switch {
	case kind.Raw == "0":
		return Reply{Status: http.StatusNoContent}, true
	case kind.Raw == "1" && !gjson.GetBytes(body, "event").Exists():
		return jsonReply(map[string]int{"type": 1}), true
	}
	return Reply{}, false
}

// answerXero answers "intent to receive", a signed empty list, with a status
// alone: https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/.
func answerXero(r *http.Request, body []byte) (Reply, bool) {
	if r.Method != http.MethodPost || !validJSON(body) {
		return Reply{}, false
	}
	events := gjson.GetBytes(body, "events")
	if !events.IsArray() || events.Get("#").Int() > 0 {
		return Reply{}, false
	}
	return Reply{Status: http.StatusOK}, true
}

// zoom answers endpoint.url_validation with the HMAC of its token:
// https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint.
type zoom struct{ mac mac }

// answer refuses a token that is none, since Zoom's signatures are HMACs under
// the same key; its signed strings begin with "v0:", which a token cannot.
func (z zoom) answer(r *http.Request, body []byte) (Reply, bool) {
	if r.Method != http.MethodPost || !validJSON(body) || text(body, "event") != "endpoint.url_validation" {
		return Reply{}, false
	}
	plain := text(body, "payload.plainToken")
	encrypted, err := z.mac.sign(plain)
	if !isToken(plain) || err != nil {
		return Reply{Status: http.StatusBadRequest}, true
	}
	return jsonReply(struct {
		Plain     string `json:"plainToken"`
		Encrypted string `json:"encryptedToken"`
	}{plain, encrypted}), true
}

// crc answers X's challenge-response check, a GET that nobody signed:
// https://docs.x.com/x-api/webhooks/quickstart.
type crc struct{ mac mac }

// answer gives anyone the HMAC of any token, and X signs bodies with the same
// key. So a body that is a token proves nothing, and is refused.
func (c crc) answer(r *http.Request, body []byte) (Reply, bool) {
	switch r.Method {
	case http.MethodPost:
		if !isToken(string(body)) {
			return Reply{}, false
		}
		return Reply{Status: http.StatusUnauthorized}, true
	case http.MethodGet:
		token := r.URL.Query().Get("crc_token")
		signed, err := c.mac.sign(token)
		if !isToken(token) || err != nil {
			return Reply{}, false
		}
		return jsonReply(map[string]string{"response_token": "sha256=" + signed}), true
	default:
		return Reply{}, false
	}
}

// isToken reports whether s is 1 to 128 letters, digits, "-", "_" or "=". No
// string that a sender signs is: all contain a colon or a brace.
func isToken(s string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
	return s != "" && len(s) <= 128 && strings.Trim(s, alphabet) == ""
}

// mac computes HMAC-SHA256 with a key that nobody can read: it signs a request
// whose body is the message and takes the signature from the header.
type mac struct{ signer *signature.Signer }

const macHeader = "Mac"

func newMAC(keys []signature.Key, encoding signature.Encoding) (mac, error) {
	if len(keys) == 0 {
		return mac{}, fmt.Errorf("a secret is required")
	}
	signer, err := signature.NewSigner(signature.Scheme{
		Algorithm: signature.HMACSHA256,
		Signature: signature.Location{Header: macHeader, Encoding: encoding},
	}, keys[:1])
	return mac{signer}, err
}

func (m mac) sign(message string) (string, error) {
	header, err := m.signer.Sign(signature.Request{Body: []byte(message)}, time.Time{})
	return header.Get(macHeader), err
}

// text is the string at a path of body, empty if there is none.
func text(body []byte, path string) string {
	if value := gjson.GetBytes(body, path); value.Type == gjson.String {
		return value.Str
	}
	return ""
}

func jsonReply(v any) Reply {
	body, err := json.Marshal(v)
	if err != nil {
		return Reply{Status: http.StatusInternalServerError}
	}
	return Reply{Status: http.StatusOK, ContentType: "application/json", Body: body}
}
