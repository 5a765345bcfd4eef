package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/signature"
)

// Of every refuseEvery events the second is refused on purpose, refusals times.
const (
	refuseEvery = 5
	refusals    = 2
)

// devReceiver is a service as a user would write it: it verifies what it gets,
// and prints a line for each attempt.
type devReceiver struct {
	done     chan struct{} // closed when enough was delivered and a retry seen
	enough   int           // 0: never
	verifier *signature.Verifier
	socket   net.Listener
	server   *http.Server
	serving  sync.WaitGroup
	out      io.Writer
	colours  bool

	mu      sync.Mutex
	first   int                 // first attempts so far
	refused map[string]struct{} // ids that are being refused
	seen    devTally
}

// devTally counts deliveries.
type devTally struct{ delivered, retried, unverified int }

// newDevReceiver listens on a free port of this machine.
func newDevReceiver(out io.Writer, secret config.Secret, enough int) (*devReceiver, error) {
	scheme := signature.StandardWebhooks()
	key, err := signature.ParseKey(scheme.Algorithm, scheme.KeyEncoding, secret.Reveal())
	if err != nil {
		return nil, err
	}
	verifier, err := signature.NewVerifier(scheme, []signature.Key{key})
	if err != nil {
		return nil, err
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the receiver: %w", err)
	}
	r := &devReceiver{
		done: make(chan struct{}), enough: enough, verifier: verifier, socket: socket,
		out: out, colours: wantsColours(out), refused: map[string]struct{}{},
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	r.serving.Go(func() { _ = r.server.Serve(socket) }) // ends with close
	return r, nil
}

func (r *devReceiver) url() string { return "http://" + r.socket.Addr().String() + "/events" }

func (r *devReceiver) close() {
	_ = r.server.Close()
	r.serving.Wait()
}

func (r *devReceiver) tally() devTally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// ServeHTTP answers one attempt.
func (r *devReceiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxData))
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	signed := signature.Request{Method: request.Method, Header: request.Header, Body: body}
	if err := r.verifier.Verify(signed, time.Now()); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		r.unverified(request.Header, err)
		return
	}
	w.WriteHeader(r.judge(request.Header))
}

// judge decides on a genuine attempt, prints it and returns the status.
func (r *devReceiver) judge(header http.Header) int {
	id := header.Get("webhook-id")
	attempt, _ := strconv.Atoi(header.Get("jethook-attempt")) // signed deliveries are ours
	r.mu.Lock()
	defer r.mu.Unlock()
	if attempt == 1 {
		if r.first++; r.first%refuseEvery == 2 {
			r.refused[id] = struct{}{}
		}
	}
	if _, ok := r.refused[id]; ok && attempt <= refusals {
		r.print(header, yellow, fmt.Sprintf("503 (refused on purpose, attempt %d)", attempt))
		return http.StatusServiceUnavailable
	}
	delete(r.refused, id)
	r.seen.delivered++
	if attempt > 1 {
		r.seen.retried++
	}
	r.print(header, green, "verified")
	if r.enough > 0 && r.seen.delivered >= r.enough && r.seen.retried > 0 {
		close(r.done)
		r.enough = 0
	}
	return http.StatusOK
}

func (r *devReceiver) unverified(header http.Header, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.unverified++
	r.print(header, red, "401 "+reason.Error())
}

// devColumns are a line's columns: time, event, name, source, attempt, verdict.
const devColumns = "%-8s  %-12.12s  %-26s  %-8s  %7s  %s\n"

// printHead names the columns.
func (r *devReceiver) printHead() {
	fmt.Fprintf(r.out, devColumns, "TIME", "EVENT", "NAME", "SOURCE", "ATTEMPT", "ANSWER")
}

// print writes an attempt's line.
func (r *devReceiver) print(header http.Header, c colour, verdict string) {
	source := header.Get("ce-source")
	source = source[strings.LastIndexByte(source, '/')+1:]
	if r.colours {
		verdict = string(c) + verdict + string(plain)
	}
	fmt.Fprintf(r.out, devColumns, time.Now().Format(time.TimeOnly),
		header.Get("ce-id"), header.Get("ce-type"), source, header.Get("jethook-attempt"), verdict)
}

// colour is what turns a terminal's text that colour.
type colour string

const (
	red    colour = "\x1b[31m"
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"
	plain  colour = "\x1b[0m"
)

// wantsColours reports whether w is a terminal whose user did not ask for plain
// text (https://no-color.org).
func wantsColours(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
