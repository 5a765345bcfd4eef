package signature

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestASchemeIsReadFromTheVerifyBlockOfTheConfiguration(t *testing.T) {
	for text, want := range map[string]Scheme{
		`{"algorithm":"hmac-sha256","key_encoding":"raw",
		  "signature":{"header":"X-Shop-Signature","encoding":"hex","prefix":"sha256="},
		  "timestamp":{"header":"X-Shop-Timestamp","unit":"auto","tolerance":"90s"},
		  "signed":"{timestamp}.{body}"}`: {
			Algorithm: HMACSHA256, KeyEncoding: KeyRaw,
			Signature: Location{Header: "X-Shop-Signature", Encoding: Hex, Prefix: "sha256="},
			Timestamp: Timestamp{Header: "X-Shop-Timestamp", Unit: Auto, Tolerance: 90 * time.Second},
			Signed:    "{timestamp}.{body}",
		},
		`{"algorithm":"hmac-sha1","signature":{"headers_numbered":"X-","encoding":"base64"}}`: {
			Algorithm: HMACSHA1, Signature: Location{HeadersNumbered: "X-", Encoding: Base64},
		},
		`{"algorithm":"hmac-sha512",
		  "signature":{"header":"S","encoding":"base64url","separator":",","key_value":"=","tag":"v1"},
		  "timestamp":{"field":"t"},"signed":"{timestamp}{body}"}`: {
			Algorithm: HMACSHA512,
			Signature: Location{Header: "S", Encoding: Base64URL, Separator: ",", KeyValue: "=", Tag: "v1"},
			Timestamp: Timestamp{Field: "t", Tolerance: 5 * time.Minute},
			Signed:    "{timestamp}{body}",
		},
		`{"algorithm":"hmac-sha256","signature":{"form":"sig","encoding":"hex"},"timestamp":{"json":"a.b","tolerance":"0s"}}`: {
			Algorithm: HMACSHA256, Signature: Location{Form: "sig", Encoding: Hex}, Timestamp: Timestamp{JSON: "a.b"},
		},
		`{"algorithm":"token","signature":{"json":"token"},"timestamp":{}}`: {
			Algorithm: Token, Signature: Location{JSON: "token"},
		},
		`{"algorithm":"none"}`: {Algorithm: None},
	} {
		var got Scheme
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("Unmarshal: %v; %s", err, text)
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v\nof   %s", got, want, text)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("Validate = %v, want no error; %s", err, text)
		}
		written, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var again Scheme
		if err := json.Unmarshal(written, &again); err != nil || again != got {
			t.Errorf("written and read again it is %+v (%v), want %+v; %s", again, err, got, written)
		}
	}
}

func TestATimestampThatCannotBeReadIsAnError(t *testing.T) {
	for _, text := range []string{
		`{"header":"T","tolerance":300}`, `{"header":"T","tolerance":"5"}`, `{"header":"T","tolerance":"soon"}`,
		`{"header":"T","tolerence":"5m"}`, `"5m"`, `{"header":1}`,
	} {
		var got Timestamp
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("Unmarshal(%s) = %+v, want an error", text, got)
		}
	}
}

func TestTheSchemesWeSignWithAreValid(t *testing.T) {
	for _, s := range []Scheme{StandardWebhooks(), Clink(), CHIP()} {
		if err := s.Validate(); err != nil {
			t.Errorf("Validate of %+v = %v, want no error", s, err)
		}
	}
}

// TestAWrongSchemeIsRefusedAndTheErrorSaysWhatIsAllowed breaks one thing at a
// time in a scheme that is otherwise right.
func TestAWrongSchemeIsRefusedAndTheErrorSaysWhatIsAllowed(t *testing.T) {
	for _, c := range []struct {
		sentence string
		scheme   Scheme
		change   func(*Scheme)
		want     []string
	}{
		{"an unknown algorithm", plainScheme(), func(s *Scheme) { s.Algorithm = "md5" }, []string{"md5", "hmac-sha1, hmac-sha256", "none"}},
		{"no algorithm", plainScheme(), func(s *Scheme) { s.Algorithm = "" }, []string{`""`, "hmac-sha256"}},
		{"an unknown key encoding", plainScheme(), func(s *Scheme) { s.KeyEncoding = "base32" }, []string{"base32", "raw, base64, hex"}},
		{"a key encoding of another algorithm", CHIP(), func(s *Scheme) { s.KeyEncoding = KeyRaw }, []string{"raw", "pem, spki-base64"}},
		{"a key encoding for none", Scheme{Algorithm: None}, func(s *Scheme) { s.KeyEncoding = KeyRaw }, []string{"raw"}},
		{"an unknown encoding", plainScheme(), func(s *Scheme) { s.Signature.Encoding = "base32" }, []string{"base32", "hex, base64, base64url"}},
		{"no encoding", plainScheme(), func(s *Scheme) { s.Signature.Encoding = "" }, []string{"hex, base64, base64url"}},
		{"an encoding for a token", Scheme{Algorithm: Token, Signature: Location{Header: "T"}}, func(s *Scheme) { s.Signature.Encoding = Hex }, []string{"hex"}},
		{"no place", plainScheme(), func(s *Scheme) { s.Signature.Header = "" }, []string{"header, headers_numbered, json and form"}},
		{"two places", plainScheme(), func(s *Scheme) { s.Signature.JSON = "a" }, []string{"exactly one"}},
		{"a header name with a space", plainScheme(), func(s *Scheme) { s.Signature.Header = "X Signature" }, []string{"X Signature"}},
		{"a numbered header with a space", plainScheme(), func(s *Scheme) { s.Signature = Location{HeadersNumbered: "X ", Encoding: Hex} }, []string{"X 1"}},
		{"the header Host", plainScheme(), func(s *Scheme) { s.Signed = "{header:host}{body}" }, []string{"Host"}},
		{"a path with a hole", plainScheme(), func(s *Scheme) { s.Signature = Location{JSON: "a..b", Encoding: Hex} }, []string{"a..b"}},
		{"a tag without a list", plainScheme(), func(s *Scheme) { s.Signature.Tag = "v1" }, []string{"separator"}},
		{"a tag without key_value", stripeScheme(), func(s *Scheme) { s.Signature.KeyValue = "" }, []string{"key_value and tag"}},
		{"key_value without a tag", stripeScheme(), func(s *Scheme) { s.Signature.Tag = "" }, []string{"key_value and tag"}},
		{"equal separators", stripeScheme(), func(s *Scheme) { s.Signature.KeyValue = "," }, []string{`","`}},
		{"a tag with a separator in it", stripeScheme(), func(s *Scheme) { s.Signature.Tag = "v=1" }, []string{"v=1"}},
		{"a prefix in a list", stripeScheme(), func(s *Scheme) { s.Signature.Prefix = "v0=" }, []string{"prefix"}},
		{"an unknown unit", Clink(), func(s *Scheme) { s.Timestamp.Unit = "µs" }, []string{"µs", "auto, s, ms, rfc3339"}},
		{"a time that is written as it cannot be read", Clink(), func(s *Scheme) { s.Timestamp.Writes = RFC3339 }, []string{"rfc3339", "s, ms"}},
		{"a negative tolerance", Clink(), func(s *Scheme) { s.Timestamp.Tolerance = -time.Second }, []string{"-1s"}},
		{"a tolerance without a time", plainScheme(), func(s *Scheme) { s.Timestamp.Tolerance = time.Second }, []string{"header, field and json"}},
		{"two times", Clink(), func(s *Scheme) { s.Timestamp.JSON = "created" }, []string{"only one"}},
		{"a time in a list that is none", Clink(), func(s *Scheme) { s.Timestamp = Timestamp{Field: "t"} }, []string{"separator"}},
		{"a time under the signatures' tag", stripeScheme(), func(s *Scheme) { s.Timestamp.Field = "v1" }, []string{"v1"}},
		{"a time in a header with a space", Clink(), func(s *Scheme) { s.Timestamp.Header = "X T" }, []string{"X T"}},
		{"a time at a path with a hole", plainScheme(), func(s *Scheme) { s.Timestamp.JSON = "." }, []string{`"."`}},
		{"a time that is not signed", Clink(), func(s *Scheme) { s.Signed = "{body}" }, []string{"anyone could replace it"}},
		{"a time in a body that is not signed", mailgunScheme(), func(s *Scheme) { s.Signed = "{json:signature.token}" }, []string{"anyone could replace it"}},
		{"{timestamp} without a time", plainScheme(), func(s *Scheme) { s.Signed = "{timestamp}{body}" }, []string{"no timestamp"}},
		{"an unknown placeholder", plainScheme(), func(s *Scheme) { s.Signed = "{id}.{body}" }, []string{"{id}", "{body}, {timestamp}, {header:Name}, {json:path}, {method}, {url}"}},
		{"a placeholder with a word too many", plainScheme(), func(s *Scheme) { s.Signed = "{body:x}" }, []string{"{body:x}"}},
		{"a header placeholder without a name", plainScheme(), func(s *Scheme) { s.Signed = "{header:}{body}" }, []string{"needs a name"}},
		{"a path placeholder without a path", plainScheme(), func(s *Scheme) { s.Signed = "{json}{body}" }, []string{"JSON path"}},
		{"an open brace", plainScheme(), func(s *Scheme) { s.Signed = "{body}{body" }, []string{"unpaired"}},
		{"a closed brace", plainScheme(), func(s *Scheme) { s.Signed = "}{body}" }, []string{"unpaired"}},
		{"a string that is always the same", plainScheme(), func(s *Scheme) { s.Signed = "{method}{url}ok" }, []string{"same for every request"}},
		{"a signed string for a token", Scheme{Algorithm: Token, Signature: Location{Header: "T"}}, func(s *Scheme) { s.Signed = "{body}" }, []string{"signs nothing"}},
		{"a time for basic", Scheme{Algorithm: Basic}, func(s *Scheme) { s.Timestamp.Header = "T" }, []string{"signs nothing"}},
		{"a prefix for basic", Scheme{Algorithm: Basic}, func(s *Scheme) { s.Signature.Prefix = "B " }, []string{"header alone"}},
		{"a signature for none", Scheme{Algorithm: None}, func(s *Scheme) { s.Signature.Header = "S" }, []string{"none"}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			if err := c.scheme.Validate(); err != nil {
				t.Fatalf("Validate before the change = %v, want no error", err)
			}
			c.change(&c.scheme)
			err := c.scheme.Validate()
			if err == nil {
				t.Fatalf("Validate of %+v = no error, want one", c.scheme)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Validate = %q, want it to say %q", err, want)
				}
			}
			if _, err := NewVerifier(c.scheme, nil); err == nil {
				t.Error("NewVerifier = no error, want one")
			}
			if _, err := NewSigner(c.scheme, nil); err == nil {
				t.Error("NewSigner = no error, want one")
			}
		})
	}
}

func TestAVerifierNeedsKeysOfItsAlgorithm(t *testing.T) {
	key := mustKey(t, plainScheme(), "secret")
	token := mustKey(t, Scheme{Algorithm: Token}, "secret")
	for what, keys := range map[string][]Key{
		"no key":                     nil,
		"the zero key":               {{}},
		"a key of another algorithm": {key, token},
		"too many keys":              make([]Key, maxKeys+1),
	} {
		if _, err := NewVerifier(plainScheme(), keys); err == nil {
			t.Errorf("NewVerifier with %s = no error, want one", what)
		}
		if _, err := NewSigner(plainScheme(), keys); err == nil {
			t.Errorf("NewSigner with %s = no error, want one", what)
		}
	}
}
