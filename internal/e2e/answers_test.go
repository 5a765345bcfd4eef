package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// answering gives an event's first attempt the status that the event's name
// ends in, and takes each later one.
func answering(w http.ResponseWriter, d delivery) int {
	if d.attempt() != "1" {
		return http.StatusOK
	}
	_, status, _ := strings.Cut(d.header.Get("ce-type"), ".")
	code, _ := strconv.Atoi(status) // not one: the server panics, and the test fails
	return code
}

func TestEveryAnswerOf2xxIsDelivered(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, answering)
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, soon)))
	statuses := []int{200, 201, 202, 204, 206, 226, 299}
	for _, status := range statuses {
		b.hand(fmt.Sprintf("answer.%d", status), strconv.Itoa(status))
	}
	for id, attempts := range r.of(len(statuses)) {
		if len(attempts) != 1 {
			t.Errorf("%s was delivered %d times", id, len(attempts))
		}
	}
	n.idle("billing")
	r.empty()
}

func TestAnyOtherAnswerIsRetriedByTheSchedule(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, answering)
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, soon)))
	statuses := []int{300, 304, 400, 401, 403, 404, 405, 408, 409, 413, 418, 422, 429, 451, 500, 501, 502, 503, 504, 599}
	for _, status := range statuses {
		b.hand(fmt.Sprintf("answer.%d", status), strconv.Itoa(status))
	}
	for id, attempts := range r.of(2 * len(statuses)) {
		if len(attempts) != 2 || attempts[0].attempt() != "1" || attempts[1].attempt() != "2" {
			t.Errorf("%s %s was attempted %d times, want attempts 1 and 2", id, attempts[0].header.Get("ce-type"), len(attempts))
		}
	}
	n.idle("billing")
	r.empty()
}

func TestRedirectsAreRefused(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(t, nil)
	n, r := newNATS(t), newReceiver(t, func(w http.ResponseWriter, d delivery) int {
		w.Header().Set("Location", elsewhere.server.URL)
		return answering(w, d)
	})
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, soon)))
	statuses := []int{301, 302, 303, 307, 308}
	for _, status := range statuses {
		b.hand(fmt.Sprintf("answer.%d", status), strconv.Itoa(status))
	}
	for id, attempts := range r.of(2 * len(statuses)) {
		if len(attempts) != 2 {
			t.Errorf("%s was attempted %d times, want 2: a redirect is no delivery", id, len(attempts))
		}
	}
	n.idle("billing")
	elsewhere.empty()
	b.waitLog("redirects are not followed")
}

func TestRetryAfterIsHeededWith429And503Alone(t *testing.T) {
	t.Parallel()
	const date = "a date"
	cases := []struct {
		status     int
		retryAfter string
		notBefore  time.Duration // after the answer
	}{
		{429, "2", 2 * time.Second},
		{503, "2", 2 * time.Second},
		{429, date, 2 * time.Second},
		{503, date, 2 * time.Second},
		{500, "3600", 0},
		{404, "3600", 0},
		{503, "soon", 0},
		{503, "-3600", 0},
		{503, "Wed, 21 Oct 2015 07:28:00 GMT", 0},
	}
	r := newReceiver(t, func(w http.ResponseWriter, d delivery) int {
		_, number, _ := strings.Cut(d.header.Get("ce-type"), ".")
		i, _ := strconv.Atoi(number) // written below
		if d.attempt() != "1" {
			return http.StatusOK
		}
		text := cases[i].retryAfter
		if text == date { // in whole seconds, so it is between 2 and 3 from now
			text = time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat)
		}
		w.Header().Set("Retry-After", text)
		return cases[i].status
	})
	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(to("billing", r.server.URL, signed, soon)))
	ids := make([]string, len(cases))
	for i := range cases {
		ids[i] = b.hand(fmt.Sprintf("case.%d", i), strconv.Itoa(i))
	}
	got := r.of(2 * len(cases))
	for i, c := range cases {
		attempts := got[ids[i]]
		if len(attempts) != 2 {
			t.Errorf("%d with Retry-After %q: %d attempts, want 2", c.status, c.retryAfter, len(attempts))
			continue
		}
		if waited := attempts[1].at.Sub(attempts[0].at); waited < c.notBefore {
			t.Errorf("%d with Retry-After %q was tried again after %s, want %s or more", c.status, c.retryAfter, waited, c.notBefore)
		}
	}
}

func TestNoAnswerIsRetriedByTheSchedule(t *testing.T) {
	t.Parallel()
	tried := make(chan struct{}, 100)
	broken := newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		if d.attempt() == "1" {
			panic(http.ErrAbortHandler) // breaks the connection
		}
		return http.StatusOK
	})
	release := make(chan struct{})
	silent := newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		if d.attempt() == "1" {
			<-release
		}
		return http.StatusOK
	})
	absent, appear := reserve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { tried <- struct{}{} }))

	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(
		to("broken", broken.server.URL, signed, soon),
		to("silent", silent.server.URL, signed, soon, "timeout: 300ms"),
		to("absent", absent, signed, soon)))
	b.hand("order.paid", "1")
	t.Run("a broken connection", func(t *testing.T) {
		if got := broken.next().attempt(); got != "2" {
			t.Errorf("taken at attempt %s, want 2", got)
		}
	})
	t.Run("none within the timeout", func(t *testing.T) {
		if got := silent.next().attempt(); got == "1" {
			t.Error("taken at attempt 1, want a later one")
		}
		b.waitLog("timeout: no answer within 300ms")
		close(release)
	})
	t.Run("a refused connection", func(t *testing.T) {
		b.waitLog("connection refused")
		appear()
		select {
		case <-tried:
		case <-time.After(patience):
			t.Fatal("the endpoint was not tried again")
		}
	})
}

// reserve returns the URL of a server that refuses connections until appear is
// called. Nobody else can have its port meanwhile: it is bound, and not
// listened on.
func reserve(t *testing.T, handler http.Handler) (url string, appear func()) {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(socket), "reserved port")
	t.Cleanup(func() { _ = file.Close() })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port), func() {
		t.Helper()
		if err := syscall.Listen(socket, 16); err != nil {
			t.Fatal(err)
		}
		listener, err := net.FileListener(file)
		if err != nil {
			t.Fatal(err)
		}
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
		server.Start()
		t.Cleanup(server.Close)
	}
}
