package main

import (
	"errors"
	"testing"
)

func TestTheGatewaysAddressIsThatOfItsListener(t *testing.T) {
	for listen, want := range map[string]string{
		":8080":          "http://127.0.0.1:8080",
		"0.0.0.0:8080":   "http://127.0.0.1:8080",
		"[::]:8080":      "http://127.0.0.1:8080",
		"127.0.0.2:8080": "http://127.0.0.2:8080",
		"[::1]:8080":     "http://[::1]:8080",
		"gateway:80":     "http://gateway:80",
	} {
		if got, err := gatewayURL(listen); got != want || err != nil {
			t.Errorf("gatewayURL(%q) = %q, %v, want %q", listen, got, err, want)
		}
	}
	misuse := (*failure)(nil)
	if got, err := gatewayURL("127.0.0.1:0"); !errors.As(err, &misuse) || misuse.code != exitUsage {
		t.Errorf("gatewayURL of any port = %q, %v, want a misuse", got, err)
	}
}
