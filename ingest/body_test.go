package ingest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jethook/jethook/ingest"
)

// serve runs the gateway behind a real server and returns its address.
func serve(t *testing.T, g *gateway) string {
	t.Helper()
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// dial opens a connection and writes the text.
func dial(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func response(t *testing.T, conn net.Conn) (answer, *http.Response) {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, r.StatusCode, r.Header, body), r
}

const head = "POST /in/stripe HTTP/1.1\r\nHost: hooks.example\r\n"

func TestAChunkedBodyIsReadNoFurtherThanTheLimit(t *testing.T) {
	source := newSource(t, "stripe", "stripe")
	source.MaxBody = 10_000
	g := newGateway(t, ingest.Config{}, source)
	chunk := "1000\r\n" + strings.Repeat("x", 0x1000) + "\r\n"
	conn := dial(t, serve(t, g), head+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat(chunk, 3)) // and no end
	a, r := response(t, conn)
	if a.status != 413 || a.Code != "body_too_large" || !r.Close {
		t.Errorf("got %d %s, closed %t, want 413 body_too_large and a closed connection", a.status, a.Code, r.Close)
	}
	if read := g.logs.last(t)["bytes"].(float64); read > 10_001 {
		t.Errorf("%v bytes were read, want no more than one over the limit of 10000", read)
	}
}

func TestAnAnnouncedBodyThatIsTooLargeIsNotReadAtAll(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "stripe", "stripe"))
	conn := dial(t, serve(t, g), head+"Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n")
	a, r := response(t, conn)
	if a.status != 413 || !r.Close {
		t.Errorf("got %d, closed %t, want 413 and a closed connection", a.status, r.Close)
	}
}

func TestABodyOfExactlyTheLimitIsRead(t *testing.T) {
	for _, size := range []int{1, 100, 4095, 4096, 4097, 16<<10 - 1, 16 << 10, 100_000} {
		for _, announced := range []bool{true, false} {
			source := newSource(t, "stripe", "stripe")
			source.MaxBody = int64(size)
			source.Verifier = verifiesNothing(t)
			g := newGateway(t, ingest.Config{}, source)
			send := func(size int) answer {
				r := stripe(t)
				r.Header.Del("Stripe-Signature")
				setBody(r, strings.Repeat(" ", size))
				if !announced {
					r.ContentLength = -1
				}
				r.Body = io.NopCloser(iotest.HalfReader(r.Body))
				return g.send(r)
			}
			if a := send(size); a.status != 422 { // read and verified, but it has no name
				t.Errorf("%d bytes, announced %t: got %d, want 422: %s", size, announced, a.status, a.text)
			}
			if a := send(size + 1); a.status != 413 {
				t.Errorf("%d bytes, one more than allowed, announced %t: got %d, want 413", size+1, announced, a.status)
			}
		}
	}
}

func TestABodyThatComesTooSlowlyIsGivenUp(t *testing.T) {
	g := newGateway(t, ingest.Config{BodyTimeout: 50 * time.Millisecond}, newSource(t, "stripe", "stripe"))
	conn := dial(t, serve(t, g), head+"Content-Length: 100\r\n\r\n{")
	a, r := response(t, conn)
	if a.status != 400 || a.Code != "body_unreadable" || a.Detail == "" || !r.Close {
		t.Errorf("got %d %s, closed %t, want 400 body_unreadable and a closed connection", a.status, a.text, r.Close)
	}
}

func TestARefusedCallerCannotHoldItsConnectionWithABody(t *testing.T) {
	g := newGateway(t, ingest.Config{BodyTimeout: 50 * time.Millisecond})
	conn := dial(t, serve(t, g), head+"Content-Length: 100\r\n\r\n{")
	if a, _ := response(t, conn); a.status != 404 {
		t.Fatalf("got %d, want 404", a.status)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection is not closed: %v", err)
	}
}

func TestTheTimeForABodyIsNotTheTimeForTheBus(t *testing.T) {
	const bodyTimeout = 200 * time.Millisecond
	source := newSource(t, "stripe", "stripe")
	g := newGateway(t, ingest.Config{
		BodyTimeout: bodyTimeout,
		Publisher:   after(2 * bodyTimeout),
	}, source)
	address := serve(t, g)
	r := stripe(t)
	conn := dial(t, address, fmt.Sprintf("%sContent-Length: %d\r\nStripe-Signature: %s\r\n\r\n%s",
		head, len(stripeBody), r.Header.Get("Stripe-Signature"), stripeBody))
	if a, r := response(t, conn); a.status != 200 || r.Close {
		t.Errorf("got %d, closed %t, want 200 and an open connection: %s", a.status, r.Close, a.text)
	}
	if _, err := io.WriteString(conn, head+"Content-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if a, _ := response(t, conn); a.status != 401 {
		t.Errorf("the next request on the connection got %d, want 401", a.status)
	}
}

func TestABodyThatBreaksOffIsUnreadable(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "stripe", "stripe"))
	r := stripe(t)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if a := g.send(r); a.status != 400 || a.Code != "body_unreadable" {
		t.Errorf("got %d %s, want 400 body_unreadable", a.status, a.text)
	}
}

func TestBodiesInMemoryTogetherAreBounded(t *testing.T) {
	g := newGateway(t, ingest.Config{MaxBuffered: 64 << 10}, newSource(t, "stripe", "stripe"))
	large := func() *http.Request {
		r := stripe(t)
		setBody(r, strings.Repeat(" ", 100<<10))
		return r
	}
	for range 3 { // what is refused gives its room back
		if a := g.send(large()); a.status != 503 || a.Code != "not_stored" || a.header.Get("Retry-After") == "" {
			t.Errorf("got %d %s, want 503 not_stored with Retry-After", a.status, a.text)
		}
	}
	var inside answer
	r := large()
	r.Body = io.NopCloser(io.MultiReader(
		bytes.NewReader(bytes.Repeat([]byte{' '}, 40<<10)),
		readerFunc(func([]byte) (int, error) { inside = g.send(large()); return 0, io.EOF })))
	if a := g.send(r); a.status != 401 {
		t.Errorf("within the bound got %d, want 401", a.status)
	}
	if inside.status != 503 {
		t.Errorf("beside another body got %d, want 503", inside.status)
	}
	for range 8 {
		if a := g.send(stripe(t)); a.status != 200 {
			t.Errorf("afterwards got %d, want 200: %s", a.status, a.text)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
