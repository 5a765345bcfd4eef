package app_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jethook/jethook/internal/app"
)

func TestManyEndpointsAreLookedForAndToldInTheirOrder(t *testing.T) {
	there, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = there.Close() }() // nothing was sent
	const count = 100
	var endpoints strings.Builder
	for i := range count {
		fmt.Fprintf(&endpoints, "  - {name: endpoint-%d, url: 'http://%s/', all_events: true}\n", i, there.Addr())
	}
	found, err := app.Diagnose(t.Context(), load(t, `version: 1
listen: {ingest: "127.0.0.1:0", admin: "127.0.0.1:0", ops: "127.0.0.1:0"}
nats: {embedded: {store_dir: `+t.TempDir()+`}, stream: {max_bytes: 16MiB}}
deliver: {allow_networks: [127.0.0.0/8]}
endpoints:
`+endpoints.String()))
	if err != nil {
		t.Fatal(err)
	}
	var told int
	for _, f := range found {
		if f.Check != "endpoint" {
			continue
		}
		if want := fmt.Sprintf("prod/endpoint-%d", told); f.Name != want || f.Verdict != app.Fine || f.Detail != "reachable" {
			t.Errorf("finding %+v, want %s to be reachable", f, want)
		}
		told++
	}
	if told != count {
		t.Errorf("%d endpoints are told of, want %d", told, count)
	}
}
