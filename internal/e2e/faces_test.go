package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jethook/jethook/api"
)

// chipKey signs as CHIP does.
var chipKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// provided is a bridge with the three providers' sources, whose own APIs it speaks.
func provided(t *testing.T) *bridge {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(chipKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	return startManaged(t, embeddedIn(t.TempDir()), adminKeys, sources(
		source("clink", "clink", "whsec_clink-secret-of-the-tests"),
		fmt.Sprintf("{name: chip, preset: chip-collect, public_keys: [%q]}", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		`{name: diddo, preset: diddo, verify: {algorithm: none}}`,
	))
}

// ask makes a request to one of the faces and reads the answer's JSON.
func (b *bridge) ask(t *testing.T, method, path, body string, header http.Header) (status int, v map[string]any) {
	t.Helper()
	header = header.Clone()
	header.Set("Content-Type", "application/json")
	a := b.do(method, b.url("admin", "/compat"+path), header, []byte(body))
	if len(a.body) > 0 {
		if err := json.Unmarshal([]byte(a.body), &v); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, path, a.status, a.body, err)
		}
	}
	return a.status, v
}

func asClink(key string) http.Header {
	return http.Header{"X-Api-Key": {key}, "X-Timestamp": {strconv.FormatInt(time.Now().UnixMilli(), 10)}}
}

func asBearer(key string) http.Header { return http.Header{"Authorization": {"Bearer " + key}} }

// keys of an object, in their order.
func fieldsOf(v any) string {
	object, _ := v.(map[string]any)
	var names []string
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// clinkExample is the body of the API reference's example, as printed there.
const clinkExample = `
{
  "url": "https://example.com/api/clink/webhook",
  "events": [
    "session.complete",
    "order.succeeded",
    "invoice.paid"
  ],
  "description": "Created through the API",
  "enabled": true
}
`

func TestClinksExampleIsAnsweredAsItsReferencePrints(t *testing.T) {
	t.Parallel()
	b := provided(t)
	status, v := b.ask(t, "POST", "/clink/api/webhook/endpoints", clinkExample, asClink(prodKey))
	data, _ := v["data"].(map[string]any)
	if status != 200 || v["code"] != 200.0 || v["msg"] != "Success" || fieldsOf(v) != "code data msg" ||
		fieldsOf(data) != "createdAt description enabled events id maskedSigningSecret signingSecret updatedAt url" {
		t.Fatalf("answered %d %v", status, v)
	}
	secret, _ := data["signingSecret"].(string)
	if ok, _ := regexp.MatchString(`^whk_[0-9a-f]{32}$`, fmt.Sprint(data["id"])); !ok || !strings.HasPrefix(secret, "whsec_") ||
		data["maskedSigningSecret"] != "whsec_..."+secret[len(secret)-4:] || data["url"] != "https://example.com/api/clink/webhook" ||
		fmt.Sprint(data["events"]) != "[order.succeeded invoice.paid session.complete]" || data["enabled"] != true || data["description"] != "Created through the API" {
		t.Errorf("data %v", data)
	}
	if at, _ := data["createdAt"].(float64); time.Since(time.UnixMilli(int64(at))).Abs() > time.Minute {
		t.Errorf("createdAt %v is not in milliseconds now", data["createdAt"])
	}
	path := "/clink/api/webhook/endpoints/" + fmt.Sprint(data["id"])
	if status, v = b.ask(t, "GET", path, "", asClink(prodKey)); status != 200 || strings.Contains(fmt.Sprint(v), secret) {
		t.Errorf("shown as %d %v, want it without the secret", status, v)
	}
	if status, v = b.ask(t, "PUT", path, `{"enabled": false}`, asClink(prodKey)); status != 200 || v["data"].(map[string]any)["enabled"] != false || v["data"].(map[string]any)["description"] != "Created through the API" {
		t.Errorf("changed to %d %v", status, v)
	}
	if status, v = b.ask(t, "GET", path, "", asClink(testKey)); status != 404 || v["code"] != 404.0 {
		t.Errorf("the other environment's key is answered %d %v, want 404", status, v)
	}
	if status, _ = b.ask(t, "DELETE", path, "", asClink(prodKey)); status != 200 {
		t.Errorf("deleted with %d", status)
	}
	if status, _ = b.ask(t, "GET", path, "", asClink(prodKey)); status != 404 {
		t.Errorf("after its deletion: %d, want 404", status)
	}
}

func TestWhatClinkWouldRefuseIsRefusedInItsForm(t *testing.T) {
	t.Parallel()
	b := provided(t)
	old, none := asClink(prodKey), asClink(prodKey)
	old.Set("X-Timestamp", strconv.FormatInt(time.Now().Add(-6*time.Minute).UnixMilli(), 10))
	none.Del("X-Timestamp")
	long := "https://example.com/" + strings.Repeat("x", 493)
	for name, test := range map[string]struct {
		body   string
		header http.Header
		status int
		says   string
	}{
		"no key":               {clinkExample, http.Header{"X-Timestamp": {"1"}}, 401, "key"},
		"a wrong key":          {clinkExample, asClink("sk_prod_wrong"), 401, "key"},
		"no time":              {clinkExample, none, 401, "X-Timestamp"},
		"an old time":          {clinkExample, old, 401, "X-Timestamp"},
		"no url":               {`{"events":["order.succeeded"]}`, asClink(prodKey), 400, "url"},
		"http":                 {`{"url":"http://example.com/x","events":["order.succeeded"]}`, asClink(prodKey), 400, "https"},
		"a url of 513":         {`{"url":"` + long + `","events":["order.succeeded"]}`, asClink(prodKey), 400, "url"},
		"a private address":    {`{"url":"https://192.168.1.4/x","events":["order.succeeded"]}`, asClink(prodKey), 400, "192.168.1.4"},
		"link-local":           {`{"url":"https://169.254.169.254/x","events":["order.succeeded"]}`, asClink(prodKey), 400, "169.254.169.254"},
		"multicast":            {`{"url":"https://224.0.0.1/x","events":["order.succeeded"]}`, asClink(prodKey), 400, "224.0.0.1"},
		"no events":            {`{"url":"https://example.com/x"}`, asClink(prodKey), 400, "events"},
		"an empty list":        {`{"url":"https://example.com/x","events":[]}`, asClink(prodKey), 400, "events"},
		"a number as an event": {`{"url":"https://example.com/x","events":[1001]}`, asClink(prodKey), 400, "numeric"},
		"an unknown event":     {`{"url":"https://example.com/x","events":["order.suceeded"]}`, asClink(prodKey), 400, "order.succeeded"},
		"a description of 513": {`{"url":"https://example.com/x","events":["order.succeeded"],"description":"` + strings.Repeat("x", 513) + `"}`, asClink(prodKey), 400, "description"},
		"enabled as a text":    {`{"url":"https://example.com/x","events":["order.succeeded"],"enabled":"yes"}`, asClink(prodKey), 400, "enabled"},
		"no JSON":              {`url=https://example.com`, asClink(prodKey), 400, "JSON"},
	} {
		status, v := b.ask(t, "POST", "/clink/api/webhook/endpoints", test.body, test.header)
		if status != test.status || v["code"] != float64(test.status) || !strings.Contains(fmt.Sprint(v["msg"]), test.says) || v["data"] != nil || fieldsOf(v) != "code data msg" {
			t.Errorf("%s: %d %v, want %d and a msg with %q", name, status, v, test.status, test.says)
		}
	}
	if status, v := b.ask(t, "GET", "/clink/api/webhook/endpoints", "", asClink(prodKey)); status != 200 || len(v["data"].([]any)) != 0 {
		t.Errorf("after refusals there are %v", v)
	}
}

func TestClinksEnsureReturnsASecretOnlyWhereItIsNew(t *testing.T) {
	t.Parallel()
	b := provided(t)
	ensure := func(more string) (data, endpoint map[string]any) {
		t.Helper()
		status, v := b.ask(t, "PUT", "/clink/api/webhook/endpoints/ensure", `{"url":"https://example.com/hook","events":["order.succeeded"]`+more+`}`, asClink(prodKey))
		data, _ = v["data"].(map[string]any)
		endpoint, _ = data["endpoint"].(map[string]any)
		if status != 200 || endpoint == nil {
			t.Fatalf("answered %d %v", status, v)
		}
		return data, endpoint
	}
	data, made := ensure(`,"returnSigningSecret":true`)
	if data["signingSecretAvailable"] != true || made["signingSecret"] == nil {
		t.Errorf("made as %v, want the secret", data)
	}
	data, again := ensure(`,"returnSigningSecret":true,"description":"again"`)
	if again["id"] != made["id"] || again["description"] != "again" || again["signingSecret"] != nil || data["signingSecretAvailable"] != false ||
		data["signingSecretUnavailableReason"] != "EXISTING_SECRET_NOT_RETURNABLE" || data["nextAction"] == nil {
		t.Errorf("ensured again as %v, want the same endpoint and no secret", data)
	}
	for _, how := range []string{`,"rotateSecretIfUnavailable":true`, `,"rotateSecret":true`} {
		data, rotated := ensure(how)
		if rotated["id"] != made["id"] || data["signingSecretAvailable"] != true || rotated["signingSecret"] == nil || rotated["signingSecret"] == made["signingSecret"] {
			t.Errorf("with %s: %v, want a new secret", how, data)
		}
	}
}

func TestAnEndpointMadeInEachDialectGetsDeliveriesSignedSo(t *testing.T) {
	t.Parallel()
	b := provided(t)
	to := newReceiver(t, nil)
	_, v := b.ask(t, "POST", "/clink/api/webhook/endpoints", fmt.Sprintf(`{"url":%q,"events":["order.succeeded"]}`, to.server.URL+"/clink"), asClink(prodKey))
	clinkSecret, _ := v["data"].(map[string]any)["signingSecret"].(string)
	_, made := b.ask(t, "POST", "/chip/webhooks/", fmt.Sprintf(`{"title":"payments","callback":%q,"events":["purchase.paid"]}`, to.server.URL+"/chip"), asBearer(prodKey))

	body := []byte(`{"id":"event_1","type":"order.succeeded"}`)
	ms := strconv.FormatInt(time.Now().UnixMilli(), 10)
	b.post("clink", http.Header{"X-Clink-Timestamp": {ms}, "X-Clink-Signature": {hex.EncodeToString(hmacSHA256("whsec_clink-secret-of-the-tests", ms+"."+string(body)))}}, body).accepted(t)
	d := to.next()
	if want := hex.EncodeToString(hmacSHA256(clinkSecret, d.header.Get("X-Clink-Timestamp")+"."+string(d.body))); d.path != "/clink" || d.header.Get("X-Clink-Signature") != want {
		t.Errorf("%s is signed %q, want %q", d.path, d.header.Get("X-Clink-Signature"), want)
	}

	body = []byte(`{"event_type": "purchase.paid", "id": "1"}`)
	digest := sha256.Sum256(body)
	mark, err := rsa.SignPKCS1v15(nil, chipKey(), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	b.post("chip", http.Header{"X-Signature": {base64.StdEncoding.EncodeToString(mark)}}, body).accepted(t)
	d = to.next()
	block, _ := pem.Decode([]byte(fmt.Sprint(made["public_key"])))
	if block == nil {
		t.Fatalf("no public key in %v", made)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := base64.StdEncoding.DecodeString(d.header.Get("X-Signature"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(d.body)
	if err := rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, sum[:], signed); d.path != "/chip" || err != nil {
		t.Errorf("%s is not signed with the key that was shown: %v", d.path, err)
	}
}

func TestCHIPsWebhooksAreMadeAsItsReferenceSays(t *testing.T) {
	t.Parallel()
	b := provided(t)
	status, made := b.ask(t, "POST", "/chip/webhooks/", `{"title":"payments","callback":"https://example.com/chip","all_events":true}`, asBearer(prodKey))
	if status != 201 || fieldsOf(made) != "all_events callback created_on events id public_key title type updated_on" || made["type"] != "webhook" ||
		made["all_events"] != true || made["title"] != "payments" || made["callback"] != "https://example.com/chip" {
		t.Fatalf("answered %d %v", status, made)
	}
	if at, _ := made["created_on"].(float64); time.Since(time.Unix(int64(at), 0)).Abs() > time.Minute {
		t.Errorf("created_on %v is not in seconds now", made["created_on"])
	}
	for name, test := range map[string]struct{ body, field string }{
		"no title":          {`{"callback":"https://example.com/x","events":["purchase.paid"]}`, "title"},
		"a title of 101":    {`{"title":"` + strings.Repeat("é", 101) + `","callback":"https://example.com/x","events":["purchase.paid"]}`, "title"},
		"no callback":       {`{"title":"x","events":["purchase.paid"]}`, "callback"},
		"a callback of 501": {`{"title":"x","callback":"https://example.com/` + strings.Repeat("x", 481) + `","events":["purchase.paid"]}`, "callback"},
		"neither":           {`{"title":"x","callback":"https://example.com/x"}`, "events"},
		"neither, said":     {`{"title":"x","callback":"https://example.com/x","events":[],"all_events":false}`, "events"},
		"an unknown event":  {`{"title":"x","callback":"https://example.com/x","events":["purchase.payed"]}`, "events"},
	} {
		if status, v := b.ask(t, "POST", "/chip/webhooks/", test.body, asBearer(prodKey)); status != 400 || v[test.field] == nil {
			t.Errorf("%s: %d %v, want 400 of %s", name, status, v, test.field)
		}
	}
	path := "/chip/webhooks/" + fmt.Sprint(made["id"]) + "/"
	if status, v := b.ask(t, "PATCH", path, `{"title":"ledger","events":["payout.failed"]}`, asBearer(prodKey)); status != 200 || v["title"] != "ledger" || fmt.Sprint(v["events"]) != "[payout.failed]" || v["all_events"] != false || v["public_key"] != made["public_key"] {
		t.Errorf("changed to %d %v", status, v)
	}
	if status, v := b.ask(t, "GET", "/chip/webhooks", "", asBearer(prodKey)); status != 200 || len(v["results"].([]any)) != 1 {
		t.Errorf("listed %d %v", status, v)
	}
	if status, _ := b.ask(t, "POST", "/chip/webhooks/", "{}", http.Header{}); status != 401 {
		t.Errorf("without a key: %d, want 401", status)
	}
	if status, _ := b.ask(t, "DELETE", path, "", asBearer(prodKey)); status != 204 {
		t.Errorf("deleted with %d, want 204", status)
	}
}

func TestDiddosWebhooksHaveItsStatuses(t *testing.T) {
	t.Parallel()
	b := provided(t)
	key := asBearer(prodKey)
	status, made := b.ask(t, "POST", "/diddo/webhook", `{"url":"https://example.com/diddo","events":["order.submitted"],"description":"orders"}`, key)
	if status != 201 || made["secret"] == nil || made["active"] != true {
		t.Fatalf("answered %d %v", status, made)
	}
	path := "/diddo/webhook/" + fmt.Sprint(made["id"])
	for name, test := range map[string]struct {
		method, path, body string
		header             http.Header
		status             int
	}{
		"the url again":      {"POST", "/diddo/webhook", `{"url":"https://example.com/diddo","events":["order.submitted"]}`, key, 409},
		"no url":             {"POST", "/diddo/webhook", `{"events":["order.submitted"]}`, key, 400},
		"an unknown event":   {"POST", "/diddo/webhook", `{"url":"https://example.com/d2","events":["order.sent"]}`, key, 400},
		"no key":             {"POST", "/diddo/webhook", `{}`, http.Header{}, 401},
		"no UUID":            {"GET", "/diddo/webhook/17", "", key, 400},
		"no such":            {"GET", "/diddo/webhook/019ac0a2-b3c8-7d1e-9f00-a1b2c3d4e5f6", "", key, 404},
		"a limit of 101":     {"GET", "/diddo/webhook?limit=101", "", key, 400},
		"one":                {"GET", path, "", key, 200},
		"a change":           {"PUT", path, `{"active":false}`, key, 200},
		"a change of events": {"PUT", path, `{"events":["checkout.failed"]}`, key, 200},
	} {
		if status, v := b.ask(t, test.method, test.path, test.body, test.header); status != test.status || strings.Contains(fmt.Sprint(v), fmt.Sprint(made["secret"])) {
			t.Errorf("%s: %d %v, want %d", name, status, v, test.status)
		}
	}
	for query, want := range map[string]int{"": 1, "?active=false": 1, "?active=true": 0, "?event=checkout.failed": 1, "?event=order.submitted": 0, "?offset=1": 0} {
		if status, v := b.ask(t, "GET", "/diddo/webhook"+query, "", key); status != 200 || len(v["data"].([]any)) != want {
			t.Errorf("%q: %d %v, want %d", query, status, v, want)
		}
	}
	if status, _ := b.ask(t, "DELETE", path, "", key); status != 200 {
		t.Errorf("deleted with %d, want 200", status)
	}
}

func TestAnEndpointMadeBeforeItsSourceIsToldOfAndListedAsItWasMade(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), adminKeys)
	_, v := b.ask(t, "POST", "/clink/api/webhook/endpoints", `{"url":"https://example.com/clink","events":["order.succeeded"]}`, asClink(prodKey))
	made, _ := v["data"].(map[string]any)
	if line := b.waitLog("a pattern selects nothing"); !strings.Contains(line, "clink.order.succeeded") {
		t.Errorf("the log says %s", line)
	}
	client := b.manager(prodKey)
	done[api.Source](t)(client.CreateSource(t.Context(), api.SourceSpec{Name: "clk", Preset: "clink", Secrets: []string{"whsec_clink-secret-of-the-tests"}}))
	path := "/clink/api/webhook/endpoints/" + fmt.Sprint(made["id"])
	_, v = b.ask(t, "GET", path, "", asClink(prodKey))
	if got := fmt.Sprint(v["data"].(map[string]any)["events"]); got != "[order.succeeded]" {
		t.Errorf("Clink's face shows %s, want the event that it was made with", got)
	}
	b.ask(t, "PUT", path, `{"events":["order.failed"]}`, asClink(prodKey))
	list := done[api.List[api.Endpoint]](t)(client.Endpoints(t.Context(), api.EndpointQuery{}))
	if len(list.Data) != 1 || fmt.Sprint(list.Data[0].Events) != "[clk.order.failed]" {
		t.Errorf("after a change of its events it is %+v, want those of the source that there is now", list.Data)
	}
}

func TestAnEndpointIsSeenThroughEveryFace(t *testing.T) {
	t.Parallel()
	b := provided(t)
	made := done[api.Endpoint](t)(b.manager(prodKey).CreateEndpoint(t.Context(), api.EndpointSpec{
		URL: "https://example.com/all", Events: []string{"clink.order.*", "chip.purchase.paid", "desk.>"}}))
	id := strings.TrimPrefix(made.ID, "ep_")
	dashed := id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
	_, v := b.ask(t, "GET", "/clink/api/webhook/endpoints/whk_"+id, "", asClink(prodKey))
	if got := fmt.Sprint(v["data"].(map[string]any)["events"]); got != "[order.created order.succeeded order.failed order.next_action]" {
		t.Errorf("Clink's face shows %s", got)
	}
	_, v = b.ask(t, "GET", "/diddo/webhook/"+dashed, "", asBearer(prodKey))
	if got := fmt.Sprint(v["events"]); got != "[]" {
		t.Errorf("Diddo's face shows %s", got)
	}
	if status, v := b.ask(t, "PATCH", "/chip/webhooks/"+dashed+"/", `{"events":["payout.failed"]}`, asBearer(prodKey)); status != 200 {
		t.Errorf("changed through CHIP's face with %d %v", status, v)
	}
	shown := done[api.Endpoint](t)(b.manager(prodKey).Endpoint(t.Context(), made.Name))
	if got := fmt.Sprint(shown.Events); got != "[clink.order.* desk.> chip.payout.failed]" {
		t.Errorf("after a change through CHIP's face the events are %s", got)
	}
}

func TestAKeyForReadingAloneSeesNoQueryOfAURL(t *testing.T) {
	t.Parallel()
	b := provided(t)
	yes := true
	made := done[api.Key](t)(b.manager(prodKey).CreateKey(t.Context(), api.KeySpec{ReadOnly: &yes}))
	const address = "https://example.com/events?token=hush"
	if status, v := b.ask(t, "POST", "/clink/api/webhook/endpoints", `{"url": "`+address+`", "events": ["order.succeeded"]}`, asClink(prodKey)); status != 200 {
		t.Fatalf("made: %d %v", status, v)
	}
	for _, path := range []string{"/clink/api/webhook/endpoints", "/chip/webhooks/", "/diddo/webhook"} {
		for key, sees := range map[string]bool{prodKey: true, made.Key: false} {
			header := asBearer(key)
			header.Set("X-Timestamp", strconv.FormatInt(time.Now().UnixMilli(), 10))
			if a := b.do("GET", b.url("admin", "/compat"+path), header, nil); a.status != 200 || strings.Contains(a.body, address) != sees || !strings.Contains(a.body, "https://example.com/events?token=") {
				t.Errorf("%s: %d %s, want the query shown: %v", path, a.status, a.body, sees)
			}
		}
	}
}
