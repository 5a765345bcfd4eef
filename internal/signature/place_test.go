package signature

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// mailgunScheme has signature and time inside the body and signs only two of
// its values: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks.
func mailgunScheme() Scheme {
	return Scheme{
		Algorithm: HMACSHA256,
		Signature: Location{JSON: "signature.signature", Encoding: Hex},
		Timestamp: Timestamp{JSON: "signature.timestamp", Unit: Seconds, Tolerance: 5 * time.Minute},
		Signed:    "{json:signature.timestamp}{json:signature.token}",
	}
}

func TestASchemeMaySignValuesOfTheBodyInsteadOfTheBody(t *testing.T) {
	const body = `{"signature":{"timestamp":"1700000000","token":"tok","signature":"%s"},"event-data":{"event":"%s"}}`
	good := mac("secret", "1700000000tok")
	for _, c := range []struct {
		sentence, body string
		want           error
	}{
		{"the values as signed", fmt.Sprintf(body, good, "opened"), nil},
		{"the rest of the body is not covered", fmt.Sprintf(body, good, "anything else"), nil},
		{"another token", strings.Replace(fmt.Sprintf(body, good, "opened"), `"tok"`, `"kot"`, 1), ErrMismatch},
		{"no token", strings.Replace(fmt.Sprintf(body, good, "opened"), `"token"`, `"tokens"`, 1), ErrMissing},
		{"no signature", strings.Replace(fmt.Sprintf(body, good, "opened"), `"signature":"`, `"sig":"`, 1), ErrMissing},
		{"a path through what is no object", `{"signature":"` + good + `"}`, ErrMissing},
		{"a value that is no string or number", `{"signature":{"signature":true}}`, ErrMissing},
		{"null", `null`, ErrMissing},
		{"a list", `[{"signature":{}}]`, ErrMissing},
		{"not JSON", `{"signature":{"signature":"` + good + `"`, ErrMissing},
		{"nothing", ``, ErrMissing},
		{"the last of two equal names counts", fmt.Sprintf(`{"signature":1,`+body[1:], good, "opened"), nil},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			if err := verify(t, mailgunScheme(), "secret", request(c.body), now); !errors.Is(err, c.want) {
				t.Errorf("Verify = %v, want %v; body %s", err, c.want, c.body)
			}
		})
	}
}

func TestATimeInsideASignedBodyIsReadAsANumberToo(t *testing.T) {
	s := plainScheme()
	s.Timestamp = Timestamp{JSON: "webhookTimestamp", Unit: Milliseconds, Tolerance: time.Minute}
	for body, want := range map[string]error{
		`{"webhookTimestamp":1700000000123}`:   nil,
		`{"webhookTimestamp":"1700000000123"}`: nil,
		`{"webhookTimestamp":1700000090123}`:   ErrExpired,
		`{"webhookTimestamp":1.7e12}`:          ErrMismatch,
		`{"webhookTimestamp":-1}`:              ErrMismatch,
		`{}`:                                   ErrMissing,
	} {
		if err := verify(t, s, "secret", request(body, "X-Signature", mac("secret", body)), now); !errors.Is(err, want) {
			t.Errorf("Verify of %s = %v, want %v", body, err, want)
		}
	}
}

func TestASignatureInAFormFieldIsFound(t *testing.T) {
	s := Scheme{
		Algorithm: HMACSHA256,
		Signature: Location{Form: "sig nature", Encoding: Hex},
		Signed:    "{method}{header:X-Id}",
	}
	good := mac("secret", "POSTid")
	field := url.QueryEscape("sig nature")
	for body, want := range map[string]error{
		"a=1&" + field + "=" + good:                   nil,
		field + "=" + good + "&b=%zz":                 nil,
		"sig%20nature=" + good:                        nil,
		"%73%69%67%20%6e%61%74%75%72%65=" + good:      nil,
		field + "=" + mac("x", "POSTid"):              ErrMismatch,
		field + "=" + good + "&" + field + "=" + good: ErrMismatch,
		field + "=%zz":                                ErrMismatch,
		field + "=" + strings.Repeat("a", maxText+1):  ErrMismatch,
		field + "=":         ErrMissing,
		"signature=" + good: ErrMissing,
		"":                  ErrMissing,
		`{"json":true}`:     ErrMissing,
		strings.Repeat("x", 500) + field + "=" + good + "": ErrMissing,
	} {
		if err := verify(t, s, "secret", request(body, "X-Id", "id"), now); !errors.Is(err, want) {
			t.Errorf("Verify of %.120s = %v, want %v", body, err, want)
		}
	}
}

func TestNumberedHeadersAreReadUntilOneIsAbsent(t *testing.T) {
	s := Scheme{Algorithm: HMACSHA256, Signature: Location{HeadersNumbered: "X-DocuSign-Signature-", Encoding: Hex}}
	good, wrong := mac("secret", "{}"), mac("another", "{}")
	all := make([]string, 0, 2*maxCandidates)
	for i := range maxCandidates {
		all = append(all, fmt.Sprintf("X-DocuSign-Signature-%d", i+1), wrong)
	}
	last := append([]string{}, all...)
	last[len(last)-1] = good
	for _, c := range []struct {
		sentence string
		headers  []string
		want     error
	}{
		{"the first", []string{"X-DocuSign-Signature-1", good}, nil},
		{"the second", []string{"X-DocuSign-Signature-1", wrong, "X-DocuSign-Signature-2", good}, nil},
		{"the hundredth", last, nil},
		{"the hundred and first is not read", append(all, "X-DocuSign-Signature-101", good), ErrMismatch},
		{"a gap ends them", []string{"X-DocuSign-Signature-1", wrong, "X-DocuSign-Signature-3", good}, ErrMismatch},
		{"one of them twice", []string{"X-DocuSign-Signature-1", good, "X-DocuSign-Signature-1", good}, ErrMismatch},
		{"an overlong one", []string{"X-DocuSign-Signature-1", good, "X-DocuSign-Signature-2", strings.Repeat("a", maxText+1)}, ErrMismatch},
		{"none", nil, ErrMissing},
		{"none with the number 1", []string{"X-DocuSign-Signature-2", good}, ErrMissing},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			if err := verify(t, s, "secret", request("{}", c.headers...), now); !errors.Is(err, c.want) {
				t.Errorf("Verify = %v, want %v", err, c.want)
			}
		})
	}
}

func TestATokenIsComparedAsAWhole(t *testing.T) {
	s := Scheme{Algorithm: Token, Signature: Location{Header: "Authorization", Prefix: "Bearer "}}
	for header, want := range map[string]error{
		"Bearer tok":   nil,
		"Bearer to":    ErrMismatch,
		"Bearer token": ErrMismatch,
		"Bearer ":      ErrMismatch,
		"bearer tok":   ErrMismatch,
		"tok":          ErrMismatch,
		"":             ErrMissing,
	} {
		if err := verify(t, s, "tok", request("{}", "Authorization", header), now); !errors.Is(err, want) {
			t.Errorf("Verify of %q = %v, want %v", header, err, want)
		}
	}
}

func TestBasicAuthenticationIsComparedAsUserAndPassword(t *testing.T) {
	for header, want := range map[string]error{
		"Basic dXNlcjpwYXNz": nil, // user:pass
		"basic dXNlcjpwYXNz": nil,
		"Basic dXNlcjpwYXM=": ErrMismatch, // user:pas
		"Basic user:pass":    ErrMismatch,
		"Basic":              ErrMismatch,
		"Bearer user:pass":   ErrMismatch,
		"dXNlcjpwYXNz":       ErrMismatch,
		"":                   ErrMissing,
	} {
		if err := verify(t, Scheme{Algorithm: Basic}, "user:pass", request("{}", "Authorization", header), now); !errors.Is(err, want) {
			t.Errorf("Verify of %q = %v, want %v", header, err, want)
		}
	}
}

func TestNoneVerifiesNothingAndTakesNoKey(t *testing.T) {
	if err := mustVerifier(t, Scheme{Algorithm: None}).Verify(Request{}, now); err != nil {
		t.Errorf("Verify = %v, want no error", err)
	}
	if _, err := NewVerifier(Scheme{Algorithm: None}, []Key{mustKey(t, plainScheme(), "secret")}); err == nil {
		t.Error("NewVerifier of none with a key = no error, want one")
	}
}
