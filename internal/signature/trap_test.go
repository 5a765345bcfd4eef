package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mac is HMAC-SHA256 in hex, computed without the package under test.
func mac(key, signed string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(signed))
	return hex.EncodeToString(h.Sum(nil))
}

// plainScheme signs the body in a header of its own.
func plainScheme() Scheme {
	return Scheme{Algorithm: HMACSHA256, Signature: Location{Header: "X-Signature", Encoding: Hex}}
}

func TestASecretThatBeginsWithWhsecIsBase64OnlyWhereTheSchemeSaysSo(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	asText := request("{}", "X-Signature", mac(secret, "{}"))
	asBase64 := request("{}", "X-Signature", mac(string(decoded), "{}"))
	for _, c := range []struct {
		encoding KeyEncoding
		request  Request
		want     error
	}{
		{KeyRaw, asText, nil},
		{KeyRaw, asBase64, ErrMismatch},
		{KeyBase64, asBase64, nil},
		{KeyBase64, asText, ErrMismatch},
		{"", asText, nil},
	} {
		s := plainScheme()
		s.KeyEncoding = c.encoding
		if err := verify(t, s, secret, c.request, now); !errors.Is(err, c.want) {
			t.Errorf("key encoding %q: Verify = %v, want %v (signature %s)", c.encoding, err, c.want, c.request.Header)
		}
	}
}

func TestAListWithTags(t *testing.T) {
	const key, body = "secret", `{"id":1}`
	at := strconv.FormatInt(now.Unix(), 10)
	good := mac(key, at+"."+body)
	wrong := mac("another", at+"."+body)
	many := strings.Repeat("v1="+wrong+",", maxCandidates)
	for _, c := range []struct {
		sentence, header string
		want             error
	}{
		{"a signature under its tag is genuine", "t=" + at + ",v1=" + good, nil},
		{"the time need not come first", "v1=" + good + ",t=" + at, nil},
		{"spaces around the entries do not matter", "t=" + at + ", v1=" + good, nil},
		{"upper-case hex is the same signature", "t=" + at + ",v1=" + strings.ToUpper(good), nil},
		{"any of several signatures may be the genuine one", "t=" + at + ",v1=" + wrong + ",v1=" + good, nil},
		{"what cannot be decoded does not spoil the good one behind it", "t=" + at + ",v1=zz,v1=,v1,,=,v1=" + good, nil},
		{"what cannot be decoded does not spoil the good one before it", "t=" + at + ",v1=" + good + ",v1=zz", nil},
		{"an overlong candidate does not spoil the good one", "t=" + at + ",v1=" + strings.Repeat("ab", 2000) + ",v1=" + good, nil},
		{"a genuine signature under v0 never matches", "t=" + at + ",v0=" + good, ErrMismatch},
		{"a genuine signature under an unknown tag never matches", "t=" + at + ",v2=" + good + ",v1=" + wrong, ErrMismatch},
		{"a tag that only begins like the right one never matches", "t=" + at + ",v11=" + good, ErrMismatch},
		{"tags are case-sensitive", "t=" + at + ",V1=" + good, ErrMismatch},
		{"a signature without a tag never matches", "t=" + at + "," + good, ErrMismatch},
		{"a shortened signature never matches", "t=" + at + ",v1=" + good[:len(good)-2], ErrMismatch},
		{"a lengthened signature never matches", "t=" + at + ",v1=" + good + "00", ErrMismatch},
		{"a missing time is missing", "v1=" + good, ErrMissing},
		{"an empty time is refused", "t=,v1=" + good, ErrMismatch},
		{"a time without a value is missing", "t,v1=" + good, ErrMissing},
		{"an infinite time is refused", "t=Infinity,v1=" + good, ErrMismatch},
		{"two times are refused, since only one was signed", "t=" + at + ",t=1,v1=" + good, ErrMismatch},
		{"an empty header is missing", "", ErrMissing},
		{"more signatures than the limit are refused", "t=" + at + "," + many + "v1=" + good, ErrMismatch},
		{"an overlong header is refused", "t=" + at + ",v1=" + good + ",x=" + strings.Repeat("x", maxText), ErrMismatch},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			r := request(body, "Stripe-Signature", c.header)
			if err := verify(t, stripeScheme(), key, r, now); !errors.Is(err, c.want) {
				t.Errorf("Verify = %v, want %v; header %.200q", err, c.want, c.header)
			}
		})
	}
}

func TestTheTimestampAsReceivedIsWhatWasSigned(t *testing.T) {
	for _, c := range []struct {
		unit Unit
		text string
	}{
		{Seconds, "0001700000000"},
		{Auto, "01700000000"},
		{Milliseconds, "01700000000000"},
		{RFC3339, "2023-11-14T23:13:20.000+01:00"},
		{RFC3339, "2023-11-14T22:13:20.0Z"},
	} {
		s := Clink()
		s.Timestamp.Unit = c.unit
		r := request("{}", "X-Clink-Timestamp", c.text, "X-Clink-Signature", mac("secret", c.text+".{}"))
		if err := verify(t, s, "secret", r, now); err != nil {
			t.Errorf("Verify with the time %q in %s = %v, want no error", c.text, c.unit, err)
		}
	}
}

func TestTheTimeIsJudgedOnlyWhenTheSignatureIsGenuine(t *testing.T) {
	text := strconv.FormatInt(now.Unix(), 10)
	genuine := request("{}", "X-Clink-Timestamp", text, "X-Clink-Signature", mac("secret", text+".{}"))
	forged := request("{}", "X-Clink-Timestamp", text, "X-Clink-Signature", mac("guess", text+".{}"))
	for _, c := range []struct {
		request Request
		late    time.Duration
		want    error
	}{
		{genuine, 5 * time.Minute, nil},
		{genuine, -5 * time.Minute, nil},
		{genuine, 5*time.Minute + 1, ErrExpired},
		{genuine, -5*time.Minute - 1, ErrExpired},
		{genuine, 250 * 365 * 24 * time.Hour, ErrExpired},
		{forged, time.Hour, ErrMismatch},
		{forged, 0, ErrMismatch},
	} {
		if err := verify(t, Clink(), "secret", c.request, now.Add(c.late)); !errors.Is(err, c.want) {
			t.Errorf("Verify %s after signing = %v, want %v", c.late, err, c.want)
		}
	}
	unchecked := Clink()
	unchecked.Timestamp.Tolerance = 0
	if err := verify(t, unchecked, "secret", genuine, now.Add(1000*time.Hour)); err != nil {
		t.Errorf("Verify with a tolerance of zero = %v, want no error at any time", err)
	}
}

func TestAHeaderThatIsThereTwiceIsRefused(t *testing.T) {
	text := strconv.FormatInt(now.Unix(), 10)
	good := mac(string(mustDecode(t, "c2VjcmV0")), "msg_1."+text+".{}")
	raw, _ := hex.DecodeString(good)
	signature := "v1," + base64.StdEncoding.EncodeToString(raw)
	headers := []string{"webhook-id", "msg_1", "webhook-timestamp", text, "webhook-signature", signature}
	r := request("{}", headers...)
	if err := verify(t, StandardWebhooks(), "c2VjcmV0", r, now); err != nil {
		t.Fatalf("Verify with each header once = %v, want no error", err)
	}
	for i := 0; i < len(headers); i += 2 {
		for _, again := range []string{headers[i+1], "other"} {
			r := request("{}", headers...)
			r.Header.Add(headers[i], again)
			if err := verify(t, StandardWebhooks(), "c2VjcmV0", r, now); !errors.Is(err, ErrMismatch) {
				t.Errorf("Verify with %s twice, then %q = %v, want %v", headers[i], again, err, ErrMismatch)
			}
		}
		r := request("{}", headers...)
		r.Header.Del(headers[i])
		if err := verify(t, StandardWebhooks(), "c2VjcmV0", r, now); !errors.Is(err, ErrMissing) {
			t.Errorf("Verify without %s = %v, want %v", headers[i], err, ErrMissing)
		}
	}
}

func mustDecode(t *testing.T, text string) []byte {
	t.Helper()
	out, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnyOfTheKeysMayMatchWhereverItStands(t *testing.T) {
	s := plainScheme()
	keys := []Key{mustKey(t, s, "one"), mustKey(t, s, "two"), mustKey(t, s, "three")}
	v := mustVerifier(t, s, keys...)
	for _, secret := range []string{"one", "two", "three"} {
		if err := v.Verify(request("{}", "X-Signature", mac(secret, "{}")), now); err != nil {
			t.Errorf("Verify of a signature with key %q = %v, want no error", secret, err)
		}
	}
	if err := v.Verify(request("{}", "X-Signature", mac("four", "{}")), now); !errors.Is(err, ErrMismatch) {
		t.Errorf("Verify of a signature with a key that is not configured = %v, want %v", err, ErrMismatch)
	}
}

func TestAnErrorTellsNothingOfTheSignatureThatWasExpected(t *testing.T) {
	want := mac("secret", "{}")
	err := verify(t, plainScheme(), "secret", request("{}", "X-Signature", mac("guess", "{}")), now)
	if text := fmt.Sprintf("%+v", err); strings.Contains(text, want[:8]) || strings.Contains(text, "secret") {
		t.Errorf("Verify = %q, which contains what was expected or the key", text)
	}
}

func TestAVerifierIsUsedByManyAtOnce(t *testing.T) {
	v := mustVerifier(t, plainScheme(), mustKey(t, plainScheme(), "secret"))
	errs := make(chan error)
	const callers = 8
	for i := range callers {
		go func() {
			body := strings.Repeat("x", i*100)
			good, bad := request(body, "X-Signature", mac("secret", body)), request(body+"y", "X-Signature", mac("secret", body))
			for range 200 {
				if err := v.Verify(good, now); err != nil {
					errs <- err
					return
				}
				if err := v.Verify(bad, now); !errors.Is(err, ErrMismatch) {
					errs <- fmt.Errorf("a changed body of caller %d: %w", i, errors.Join(err))
					return
				}
			}
			errs <- nil
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			t.Errorf("Verify beside others = %v", err)
		}
	}
}
