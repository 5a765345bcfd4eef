package signature

// StandardWebhooks is the symmetric scheme of Standard Webhooks, version v1:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
// Keys are base64, with or without whsec_.
func StandardWebhooks() Scheme {
	return Scheme{
		Algorithm:   HMACSHA256,
		KeyEncoding: KeyBase64,
		Signature:   Location{Header: "webhook-signature", Encoding: Base64, Separator: " ", KeyValue: ",", Tag: "v1"},
		Timestamp:   Timestamp{Header: "webhook-timestamp", Unit: Seconds, Tolerance: defaultTolerance},
		Signed:      "{header:webhook-id}.{timestamp}.{body}",
	}
}

// Clink is the scheme of Clink's documentation, "Verify Signature". The key is
// the whsec_ text as it stands. Seconds and milliseconds both occur as its times;
// it writes, and we sign with, milliseconds.
func Clink() Scheme {
	return Scheme{
		Algorithm:   HMACSHA256,
		KeyEncoding: KeyRaw,
		Signature:   Location{Header: "X-Clink-Signature", Encoding: Hex},
		Timestamp:   Timestamp{Header: "X-Clink-Timestamp", Unit: Auto, Writes: Milliseconds, Tolerance: defaultTolerance},
		Signed:      "{timestamp}.{body}",
	}
}

// CHIP is the scheme of CHIP Collect's API reference, "Webhooks" and "Public
// Key": RSA PKCS #1 v1.5 with SHA-256 over the body as sent. No time is signed,
// so a captured request stays valid.
func CHIP() Scheme {
	return Scheme{
		Algorithm:   RSASHA256,
		KeyEncoding: KeyPEM,
		Signature:   Location{Header: "X-Signature", Encoding: Base64},
	}
}
