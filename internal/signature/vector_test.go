package signature

import (
	"errors"
	"testing"
	"time"
)

// stripeScheme is Stripe's, the model of every list with tags.
func stripeScheme() Scheme {
	return Scheme{
		Algorithm: HMACSHA256,
		Signature: Location{Header: "Stripe-Signature", Encoding: Hex, Separator: ",", KeyValue: "=", Tag: "v1"},
		Timestamp: Timestamp{Field: "t", Unit: Seconds, Tolerance: 5 * time.Minute},
		Signed:    "{timestamp}.{body}",
	}
}

// One published vector for each shape of scheme. The vectors of every preset
// are tested where the presets are.
func TestAPublishedVectorIsGenuineAndTurnsFalseWithItsBody(t *testing.T) {
	for _, c := range []struct {
		name    string
		scheme  Scheme
		key     string
		at      int64
		request Request
	}{
		{"Standard Webhooks, its own libraries", StandardWebhooks(), `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`, 1614265330,
			request(`{"test": 2432232314}`, "webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp", "1614265330", "webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")},
		{"GitHub, its documentation", Scheme{
			Algorithm: HMACSHA256,
			Signature: Location{Header: "X-Hub-Signature-256", Encoding: Hex, Prefix: "sha256="},
		}, `It's a Secret to Everybody`, 0,
			request(`Hello, World!`, "X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")},
		{"Slack, its documentation", Scheme{
			Algorithm: HMACSHA256,
			Signature: Location{Header: "X-Slack-Signature", Encoding: Hex, Prefix: "v0="},
			Timestamp: Timestamp{Header: "X-Slack-Request-Timestamp", Unit: Seconds, Tolerance: 5 * time.Minute},
			Signed:    "v0:{timestamp}:{body}",
		}, `8f742231b10e8888abcd99yyyzzz85a5`, 1531420618,
			request(`token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c`, "X-Slack-Request-Timestamp", "1531420618", "X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")},
		{"Stripe, stripe-dotnet, with a v0 signature beside", stripeScheme(), `webhook_secret`, 1533204720,
			request(`{
  "id": "evt_123",
  "object": "event",
  "account": "acct_123",
  "api_version": "2017-05-25",
  "created": 1533204620,
  "data": {
    "object": {
      "id": "cus_123",
      "object": "customer",
      "created": 123456789,
      "email": "test@stripe.com",
      "livemode": false,
      "metadata": {}
    }
  },
  "livemode": false,
  "pending_webhooks": 1,
  "request": {
    "id": "req_123",
    "idempotency_key": "idempotency-key-123"
  },
  "type": "customer.created"
}
`, "Stripe-Signature", "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef")},
		{"Square, square-python-sdk, the address signed", Scheme{
			Algorithm: HMACSHA256,
			Signature: Location{Header: "x-square-hmacsha256-signature", Encoding: Base64},
			Signed:    "{url}{body}",
		}, `Ibxx_5AKakO-3qeNVR61Dw`, 0,
			withURL("https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9", request(`{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification","event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z","data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}`, "x-square-hmacsha256-signature", "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4="))},
		{"SendGrid, sendgrid-go, ECDSA over a body that ends in CRLF", Scheme{
			Algorithm:   ECDSAP256SHA256,
			KeyEncoding: KeySPKI,
			Signature:   Location{Header: "X-Twilio-Email-Event-Webhook-Signature", Encoding: Base64},
			Timestamp:   Timestamp{Header: "X-Twilio-Email-Event-Webhook-Timestamp", Unit: Seconds},
			Signed:      "{timestamp}{body}",
		}, `MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==`, 0,
			request("[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n", "X-Twilio-Email-Event-Webhook-Signature", "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=", "X-Twilio-Email-Event-Webhook-Timestamp", "1600112502")},
		{"Wise, its sandbox key, RSA", Scheme{
			Algorithm: RSASHA256,
			Signature: Location{Header: "X-Signature-SHA256", Encoding: Base64},
		}, `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwpb91cEYuyJNQepZAVfP
ZIlPZfNUefH+n6w9SW3fykqKu938cR7WadQv87oF2VuT+fDt7kqeRziTmPSUhqPU
ys/V2Q1rlfJuXbE+Gga37t7zwd0egQ+KyOEHQOpcTwKmtZ81ieGHynAQzsn1We3j
wt760MsCPJ7GMT141ByQM+yW1Bx+4SG3IGjXWyqOWrcXsxAvIXkpUD/jK/L958Cg
nZEgz0BSEh0QxYLITnW1lLokSx/dTianWPFEhMC9BgijempgNXHNfcVirg1lPSyg
z7KqoKUN0oHqWLr2U1A+7kqrl6O2nx3CKs1bj1hToT1+p4kcMoHXA7kA+VBLUpEs
VwIDAQAB
-----END PUBLIC KEY-----`, 0,
			request(`{"data":{"resource":{"id":49983981,"profile_id":16055450,"account_id":14124090,"type":"transfer"},"current_state":"incoming_payment_waiting","previous_state":null,"occurred_at":"2021-08-23T10:12:50Z"},"subscription_id":"90aa8e14-4ef1-4a56-861c-f3c9cde097ea","event_type":"transfers#state-change","schema_version":"2.0.0","sent_at":"2021-08-23T10:12:50Z"}`, "X-Signature-SHA256", "wKcKCYXAzxNgiu7xmoDm943NUni7Rz33QN8JkEA9dWSGebgndonabgSj18Y4C08OrwVmueGsED2s00M7DtJVcYKOS1i3G4TMVx+mgM3aL9djMBkQtiYNBFUd6wrPI7ZUNHv/TrlKSjTMc+6JFvUvJ7owY3z85e3I4jLRLJowMFvO8kvCJ60+1pY9wDwZvtZ//WS93LrwGjk9Dvwzpmu0w+P4J75tETT5qC3Uv0y5G2yO8SEoO3yNP/tg/BOli02niHb53vEOUWUb9bly6thnfMoXoiV/osoGxgF20R58RlvkAmezyyl1Sv542TfS2DpiwVnmjjjkCyXeSUcKookYLQ==")},
		{"HubSpot version 1, hubspot-api-nodejs, a hash that is no HMAC", Scheme{
			Algorithm: SHA256Prefix,
			Signature: Location{Header: "X-HubSpot-Signature", Encoding: Hex},
		}, `yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy`, 0,
			request(`[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]`, "X-HubSpot-Signature", "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de", "X-HubSpot-Signature-Version", "v1")},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := mustVerifier(t, c.scheme, mustKey(t, c.scheme, c.key))
			if err := v.Verify(c.request, time.Unix(c.at, 0)); err != nil {
				t.Errorf("Verify = %v, want no error", err)
			}
			c.request.Body = append(c.request.Body, ' ')
			if err := v.Verify(c.request, time.Unix(c.at, 0)); !errors.Is(err, ErrMismatch) {
				t.Errorf("Verify of a body with a space more = %v, want %v", err, ErrMismatch)
			}
		})
	}
}

func withURL(url string, r Request) Request {
	r.URL = url
	return r
}
