package deliver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// maxInterim is how many interim answers (1xx) may come before the answer.
const maxInterim = 5

var (
	errAnswerTooLong = errors.New("the answer is longer than what is read of one")
	errInterim       = errors.New("more interim answers than are read")
	errHeaderValue   = errors.New("a header's value holds characters that a header cannot")
)

// wire is a connection to an endpoint that speaks HTTP/1.1 without TLS. One
// goroutine at a time uses it.
type wire struct {
	net.Conn
	reader *bufio.Reader // of the wire itself
	room   int           // bytes of the answer that may still be read
	out    []byte        // of the last request, for its room

	dialed, used time.Time
	generation   int // of the pool when it was dialled
}

// writeRoom holds the line and the headers of most requests.
const writeRoom = 2 << 10

func newWire(conn net.Conn, generation int) *wire {
	w := &wire{Conn: conn, out: make([]byte, 0, writeRoom), dialed: time.Now(), generation: generation}
	w.reader = bufio.NewReader(w)
	return w
}

// Read reads from the connection as far as an answer may be long.
func (w *wire) Read(p []byte) (int, error) {
	if w.room == 0 {
		return 0, errAnswerTooLong
	}
	n, err := w.Conn.Read(p[:min(len(p), w.room)])
	w.room -= n
	return n, err
}

// silent reports whether nothing has come since the last answer, not even the
// connection's end. What came would be read as the answer to the next request,
// though the endpoint has not seen it.
func (w *wire) silent() bool {
	conn, ok := w.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var first [1]byte
	var got error
	err = raw.Read(func(fd uintptr) bool {
		_, _, got = syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK) // which does not wait
		return true
	})
	return err == nil && errors.Is(got, syscall.EAGAIN)
}

// exchange sends a request and reads its answer. answered tells whether any of
// the answer came, whole whether the connection can be used again.
func (w *wire) exchange(to *target, header http.Header, data []byte, heads *heads) (got answer, answered, whole bool) {
	if err := w.write(to, header, data); err != nil {
		return answer{err: err}, false, false
	}
	w.room = maxAnswerHeader
	if got, ok := w.readPlain(); ok {
		return got, true, true
	}
	response, err := w.readHead()
	if err != nil {
		return answer{err: fmt.Errorf("read the answer: %w", err)}, w.room < maxAnswerHeader, false
	}
	w.room = maxAnswer
	got = answer{status: response.StatusCode, header: response.Header, head: heads.read(response)}
	_, err = io.Copy(io.Discard, response.Body)
	whole = err == nil && !response.Close && response.StatusCode != http.StatusSwitchingProtocols && w.reader.Buffered() == 0
	return got, true, whole
}

// write sends the request in one call to the kernel.
func (w *wire) write(to *target, header http.Header, data []byte) error {
	out := append(w.out[:0], to.line...)
	for name, values := range header {
		for _, value := range values {
			if !validValue(value) {
				return fmt.Errorf("write header %s: %w", name, errHeaderValue)
			}
			out = append(append(append(append(out, name...), ": "...), value...), "\r\n"...)
		}
	}
	out = strconv.AppendInt(append(out, "Content-Length: "...), int64(len(data)), 10)
	out = append(out, "\r\n\r\n"...)
	if cap(out) <= maxHeaderBytes {
		w.out = out
	}
	parts := net.Buffers{out, data}
	if _, err := parts.WriteTo(w.Conn); err != nil {
		return fmt.Errorf("send the request: %w", err)
	}
	return nil
}

// readPlain reads a plain answer, and nothing where it is another.
func (w *wire) readPlain() (answer, bool) {
	if _, err := w.reader.Peek(1); err != nil {
		return answer{}, false // it comes again
	}
	text, _ := w.reader.Peek(w.reader.Buffered())
	status, body, ok := plainAnswer(string(text))
	if !ok {
		return answer{}, false
	}
	got := answer{status: status, head: headOf(body)}
	_, err := w.reader.Discard(len(text))
	return got, err == nil
}

// readHead reads the answer without its body, and passes over interim ones.
func (w *wire) readHead() (*http.Response, error) {
	for range maxInterim {
		response, err := http.ReadResponse(w.reader, nil)
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
	return nil, errInterim
}
