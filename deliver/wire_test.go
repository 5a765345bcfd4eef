package deliver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rawServer answers each request with the next of the texts, byte for byte, and
// closes the connection after those that end in "(close)".
func rawServer(t *testing.T, answers ...string) (address string, connections <-chan net.Conn) {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	next, accepted := make(chan string, len(answers)), make(chan net.Conn, 16)
	for _, a := range answers {
		next <- a
	}
	close(next)
	done := make(chan struct{})
	t.Cleanup(func() { _ = socket.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			accepted <- conn
			answerRaw(conn, next)
		}
	}()
	return socket.Addr().String(), accepted
}

// answerRaw serves one connection until it is closed at either end.
func answerRaw(conn net.Conn, next <-chan string) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		text, more := <-next
		text, closing := strings.CutSuffix(text, "(close)")
		_, _ = io.WriteString(conn, text)
		if closing || !more {
			return
		}
	}
}

func post(t *testing.T, client *Client, rawURL string, data []byte) answer {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return attemptBy(ctx, client, newTarget(u), http.Header{"X-Team": {"payments"}}, data)
}

// attemptBy makes one attempt in a slot of its own, for which ctx is the time.
func attemptBy(ctx context.Context, client *Client, to *target, header http.Header, data []byte) answer {
	in, release := newSlot(ctx)
	defer release()
	in.until = time.Now().Add(patience)
	if until, ok := ctx.Deadline(); ok {
		in.until = until
	}
	return client.post(ctx, in, to, header, data)
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestAnswersInEveryFormAreRead(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		status       int
		head         string
		connections  int // for this request and the next
	}{
		{"with a length", ok, 200, "ok", 1},
		{"without a body", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", 1},
		{"in chunks", "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n1\r\nw\r\n0\r\n\r\n", 503, "now", 1},
		{"after interim ones", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok, 200, "ok", 1},
		{"until the connection is closed", "HTTP/1.0 200 OK\r\n\r\nall of it(close)", 200, "all of it", 2},
		{"with close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok(close)", 200, "ok", 2},
		{"with more than there should be", ok + "HTTP/1.1 500 Forged\r\nContent-Length: 0\r\n\r\n", 200, "ok", 2},
		{"with a body that breaks off", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok(close)", 200, "ok", 2},
		{"with a body longer than is read", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("a", 1000000), 200, strings.Repeat("a", headBytes), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			address, connections := rawServer(t, test.answer, ok)
			client := newTestClient(t)
			got := post(t, client, "http://"+address+"/", []byte("{}"))
			if got.err != nil || got.status != test.status || got.head != test.head {
				t.Errorf("answer is %d %q, error %v; want %d %q", got.status, got.head, got.err, test.status, test.head)
			}
			if got := post(t, client, "http://"+address+"/", []byte("{}")); got.err != nil || got.status != 200 {
				t.Errorf("the next answer is %d, error %v", got.status, got.err)
			}
			if len(connections) != test.connections {
				t.Errorf("%d connections were made, want %d", len(connections), test.connections)
			}
		})
	}
}

func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                 "(close)",
		"not HTTP":                "SSH-2.0-OpenSSH_9.2\r\n\r\n(close)",
		"half a head":             "HTTP/1.1 200 OK\r\nContent-(close)",
		"a head without an end":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 2*maxAnswerHeader) + "(close)",
		"nothing but interim":     strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 2*maxInterim) + "(close)",
		"a length that is no one": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok(close)",
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := rawServer(t, text)
			if got := post(t, newTestClient(t), "http://"+address+"/", []byte("{}")); got.err == nil || got.status != 0 {
				t.Errorf("answer is %d, error %v; want an error", got.status, got.err)
			}
		})
	}
}

func TestAConnectionThatWasClosedWhileIdleIsNoFailedAttempt(t *testing.T) {
	address, connections := rawServer(t, ok, ok)
	client := newTestClient(t)
	post(t, client, "http://"+address+"/", nil)
	_ = (<-connections).Close()
	if got := post(t, client, "http://"+address+"/", nil); got.err != nil || got.status != 200 {
		t.Errorf("answer is %d, error %v; want 200 by another connection", got.status, got.err)
	}
}

func TestAConnectionThatIsClosedInsteadOfAnAnswerIsNoFailedAttemptIfItWasIdle(t *testing.T) {
	address, connections := rawServer(t, ok, "(close)", ok)
	client := newTestClient(t)
	for range 2 {
		if got := post(t, client, "http://"+address+"/", nil); got.err != nil || got.status != 200 {
			t.Errorf("answer is %d, error %v; want 200", got.status, got.err)
		}
	}
	if len(connections) != 2 {
		t.Errorf("%d connections were made, want 2", len(connections))
	}
}

func TestWhatCameBeforeTheRequestIsNotItsAnswer(t *testing.T) {
	address, connections := rawServer(t, ok, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
	client := newTestClient(t)
	post(t, client, "http://"+address+"/", nil)
	if _, err := io.WriteString(<-connections, ok); err != nil { // a server that answers twice
		t.Fatal(err)
	}
	for kept := client.pool.idle[address][0]; kept.silent(); { // until it has arrived
		runtime.Gosched()
	}
	if got := post(t, client, "http://"+address+"/", nil); got.err != nil || got.status != 500 {
		t.Errorf("answer is %d, error %v; want 500, which is what this request was answered", got.status, got.err)
	}
}

func TestAnEndedAttemptCutsOffItsConnection(t *testing.T) {
	began, release := make(chan struct{}, 2), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-release }))
	defer server.Close()
	defer close(release)
	u, _ := url.Parse(server.URL)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	go func() { <-began; cancel(reason) }()
	if got := attemptBy(ctx, newTestClient(t), newTarget(u), http.Header{}, nil); !errors.Is(got.err, reason) {
		t.Errorf("error %v, want the reason of the end", got.err)
	}
}

func TestAClosedClientKeepsNoConnection(t *testing.T) {
	address, connections := rawServer(t, ok, ok)
	client := newTestClient(t)
	post(t, client, "http://"+address+"/", nil)
	client.Close()
	post(t, client, "http://"+address+"/", nil)
	if len(connections) != 2 {
		t.Errorf("%d connections were made, want a new one after Close", len(connections))
	}
}

func TestConnectionsThatWereIdleForTooLongAreClosed(t *testing.T) {
	address, _ := rawServer(t, ok)
	client := newTestClient(t)
	post(t, client, "http://"+address+"/", nil)
	client.pool.mu.Lock()
	client.pool.idle[address][0].used = time.Now().Add(-idleTimeout)
	client.pool.mu.Unlock()
	client.pool.sweep()
	if client.pool.count != 0 || len(client.pool.idle) != 0 || client.pool.sweeper != nil {
		t.Errorf("%d connections of %d addresses are kept, want none and no timer", client.pool.count, len(client.pool.idle))
	}
}

func TestALineBreakInAHeaderIsNeverSent(t *testing.T) {
	address, _ := rawServer(t, ok)
	u, _ := url.Parse("http://" + address)
	got := attemptBy(t.Context(), newTestClient(t), newTarget(u), http.Header{"X-Team": {"a\r\nX-Forged: b"}}, nil)
	if !errors.Is(got.err, errHeaderValue) {
		t.Errorf("error %v, want the header refused", got.err)
	}
}

// A small body goes over a wire and a large one through net/http; a receiver
// must not see the difference.
func TestSmallAndLargeBodiesArriveAlike(t *testing.T) {
	r := newReceiver(t, always(200))
	client := newTestClient(t)
	var got [2]request
	for i, size := range []int{maxPlain, maxPlain + 1} {
		data := bytes.Repeat([]byte{byte(i)}, size)
		if a := post(t, client, r.server.URL+"/a b?c=d%20e", data); a.err != nil {
			t.Fatal(a.err)
		}
		got[i] = r.next()
		if !bytes.Equal(got[i].body, data) || got[i].header.Get("Content-Length") != fmt.Sprint(size) {
			t.Errorf("%d bytes came as %d, length %s", size, len(got[i].body), got[i].header.Get("Content-Length"))
		}
		got[i].header.Del("Content-Length")
	}
	got[0].header.Del("User-Agent") // net/http's own, since the test gives none
	got[1].header.Del("User-Agent")
	if diff := cmp.Diff(got[0].header, got[1].header); diff != "" || got[0].path != got[1].path || got[0].method != got[1].method {
		t.Errorf("%s %s and %s %s, headers differ:\n%s", got[0].method, got[0].path, got[1].method, got[1].path, diff)
	}
}

func TestOnlyPlainHostsAreDialledHere(t *testing.T) {
	for raw, want := range map[string]string{
		"http://billing.internal/events": "billing.internal:80",
		"http://billing.internal:/":      "billing.internal:80",
		"http://[::1]:8080/":             "[::1]:8080",
		"http://[fe80::1%25eth0]/":       "",
		"http://bücher.example/":         "",
		"https://billing.internal/":      "",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := newTarget(u).address; got != want {
			t.Errorf("%s is dialled at %q, want %q", raw, got, want)
		}
	}
}
