package ingest

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Sizes a body's buffer starts with. What a caller announces costs it nothing
// to announce, so only the first bytes are taken on trust.
const (
	firstBuffer  = 4 << 10  // when the length is not announced
	trustedBytes = 16 << 10 // of an announced length
)

// budget is the room that bodies may take in memory together.
type budget struct{ free atomic.Int64 }

// take takes n bytes, all or none.
func (b *budget) take(n int64) bool {
	if b.free.Add(-n) < 0 {
		b.free.Add(n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.free.Add(n) }

// limitReading bounds how long the caller may take to send the body, whether
// it is read here or, after a refusal, by the server. Not every connection has
// deadlines; on those the server's own must do.
func (in *intake) limitReading() {
	if in.r.ContentLength != 0 {
		deadline := time.Now().Add(in.config.BodyTimeout)
		_ = http.NewResponseController(in.w).SetReadDeadline(deadline)
	}
}

// unlimitReading is called when the body has been read, or the deadline would
// end the connection while the request waits for the bus.
func (in *intake) unlimitReading() {
	if in.r.ContentLength != 0 {
		_ = http.NewResponseController(in.w).SetReadDeadline(time.Time{})
	}
}

// readBody reads the body whole, at most MaxBody bytes of it. The buffer is
// this request's alone and never used again: the bus may keep it.
func (in *intake) readBody() *problem {
	limit, announced := in.source.MaxBody, in.r.ContentLength
	if announced > limit {
		return in.tooLarge()
	}
	// One byte more than the limit tells a body that is too large, and one more
	// than was announced leaves room to read the end.
	room := limit + 1
	size := min(room, firstBuffer)
	if announced >= 0 {
		room = announced + 1
		size = min(room, trustedBytes)
	}
	if !in.reserve(size) {
		return in.noRoom()
	}
	body := make([]byte, 0, size)
	for {
		n, err := in.r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		in.bytes = len(body)
		switch {
		case int64(len(body)) > limit:
			return in.tooLarge()
		case err == io.EOF:
			in.unlimitReading()
			in.body = body
			return nil
		case err != nil:
			return &problem{
				outcome: bodyUnreadable,
				detail:  fmt.Sprintf("The body broke off, was malformed, or took longer than %s. Send it again.", in.config.BodyTimeout),
				hangUp:  true,
				cause:   fmt.Errorf("read body: %w", err),
			}
		}
		if len(body) == cap(body) {
			more := min(2*int64(cap(body)), room)
			if !in.reserve(more - int64(cap(body))) {
				return in.noRoom()
			}
			body = append(make([]byte, 0, more), body...)
		}
	}
}

// reserve takes n bytes from the budget until the request is answered.
func (in *intake) reserve(n int64) bool {
	if !in.buffered.take(n) {
		return false
	}
	in.reserved += n
	return true
}

func (in *intake) tooLarge() *problem {
	return &problem{
		outcome: bodyTooLarge,
		detail:  fmt.Sprintf("The body is larger than the %d bytes this source takes. Send less, or have its max_body raised.", in.source.MaxBody),
		hangUp:  true,
	}
}

func (in *intake) noRoom() *problem {
	return &problem{
		outcome:    notStored,
		detail:     "Too many requests are being read at once. Nothing was stored; send the same request again.",
		retryAfter: retryBusy,
		hangUp:     true,
		cause:      fmt.Errorf("bodies in memory exceed %d bytes", in.config.MaxBuffered),
	}
}
