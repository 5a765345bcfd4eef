package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/jethook/jethook/config"
)

func TestTheReceiverOfDevRefusesWhatIsNotSigned(t *testing.T) {
	var out bytes.Buffer
	secret := config.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	receiver, err := newDevReceiver(&out, secret, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.close()
	request, err := http.NewRequest(http.MethodPost, receiver.url(), strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("ce-id", "evt_abcdefghijkl")
	request.Header.Set("ce-source", "/test/clink")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unsigned delivery was answered %d, want 401", response.StatusCode)
	}
	if got, want := receiver.tally(), (devTally{unverified: 1}); got != want {
		t.Errorf("the receiver counted %+v, want %+v", got, want)
	}
	if !strings.Contains(out.String(), "401 signature missing") {
		t.Errorf("the receiver printed %q, want why it refused", out.String())
	}
}
