package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jethook/jethook/internal/bus"
)

// healthTimeout bounds the questions behind one answer of /readyz.
const healthTimeout = 2 * time.Second

// phase is where a process is in its life.
type phase int32

const (
	starting phase = iota
	ready
	draining
)

type readiness struct{ phase atomic.Int32 }

func (r *readiness) set(p phase) { r.phase.Store(int32(p)) }

func (r *readiness) check() bus.Check {
	check := bus.Check{Name: "process"}
	switch phase(r.phase.Load()) {
	case starting:
		check.Err = errors.New("starting")
	case draining:
		check.Err = errors.New("draining")
	}
	return check
}

// opsHandler serves what operators and orchestrators ask: /healthz says that
// the process is alive, /readyz whether it may take traffic, /metrics is
// Prometheus text.
func (a *App) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.serveReadiness)
	mux.Handle("GET /metrics", a.telemetry.metricsHandler())
	return mux
}

// serveReadiness answers 200 when every check holds and 503 otherwise;
// ?verbose lists them all, else only those that fail.
func (a *App) serveReadiness(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	verbose := r.URL.Query().Has("verbose")
	status, verdict := http.StatusOK, "ready"
	var lines strings.Builder
	checks := append([]bus.Check{a.readiness.check()}, a.bus.Health(ctx)...)
	if note := a.noteKeyset(); note != "" {
		checks = append(checks, bus.Check{Name: "keyset", Note: note})
	}
	for _, check := range checks {
		if check.Err != nil {
			status, verdict = http.StatusServiceUnavailable, "not ready"
			fmt.Fprintf(&lines, "[-] %s: %v\n", check.Name, check.Err)
		} else if verbose {
			fmt.Fprintf(&lines, "[+] %s: %s\n", check.Name, cmp.Or(check.Note, "ok"))
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s%s\n", lines.String(), verdict)
}
