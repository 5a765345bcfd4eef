package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// minSize of a body leaves room for its fields.
	minSize = 128
	// eventRoot and a number name an event.
	eventRoot = "order.t"
	// answerTimeout ends the wait for a server that hangs.
	answerTimeout = 30 * time.Second
)

// load is requests that look alike, each signed with an id of its own, on
// connections that are kept open. Requests are written by hand, so that the
// generator takes little of the time it shares with what it measures.
type load struct {
	address           string
	connections, size int
	kind              int // of the first name
	types             int // how many events have names of their own; 0 is 1
	rate              int // requests a second over all connections; 0 is as many as are answered
}

// sample is one request that was answered 2xx.
type sample struct {
	at   time.Time // of the answer
	took time.Duration
}

// pace measures for length after the warm-up, without a pause between.
func (l load) pace(ctx context.Context, warmUp, length time.Duration) (pace, error) {
	begin := time.Now().Add(warmUp)
	end := begin.Add(length)
	samples, err := l.run(ctx, func() bool { return time.Now().Before(end) })
	if err != nil {
		return pace{}, err
	}
	var took []time.Duration
	for _, s := range samples {
		if !s.at.Before(begin) && !s.at.After(end) {
			took = append(took, s.took)
		}
	}
	if len(took) == 0 {
		return pace{}, fmt.Errorf("no answer within %s", length)
	}
	return newPace(took, length), nil
}

// send sends count requests and returns when all are answered.
func (l load) send(ctx context.Context, count int) error {
	var begun atomic.Int64
	_, err := l.run(ctx, func() bool { return begun.Add(1) <= int64(count) })
	return err
}

// run sends on every connection while more holds. An answer that is not 2xx
// ends it with an error.
func (l load) run(ctx context.Context, more func() bool) ([]sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	prefix := "msg_" + strconv.FormatInt(time.Now().UnixNano(), 36) + "_"
	samples := make([][]sample, l.connections)
	begun := time.Now()
	var group sync.WaitGroup
	for i := range samples {
		group.Go(func() {
			c, err := l.dial(ctx, prefix+strconv.Itoa(i)+"_", i)
			if err != nil {
				cancel(err)
				return
			}
			defer c.socket.Close()
			defer context.AfterFunc(ctx, func() { _ = c.socket.Close() })()
			for turn := i; ctx.Err() == nil && more(); turn += l.connections {
				if l.rate > 0 {
					time.Sleep(time.Until(begun.Add(time.Duration(turn) * time.Second / time.Duration(l.rate))))
				}
				s, err := c.exchange()
				if err != nil {
					cancel(err)
					return
				}
				samples[i] = append(samples[i], s)
			}
		})
	}
	group.Wait()
	var all []sample
	for _, of := range samples {
		all = append(all, of...)
	}
	return all, context.Cause(ctx)
}

func (l load) dial(ctx context.Context, prefix string, number int) (*connection, error) {
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	return &connection{socket: socket, reader: bufio.NewReader(socket), mac: newMAC(), prefix: prefix, first: number, load: l}, nil
}

// connection sends one request after the other.
type connection struct {
	socket net.Conn
	reader *bufio.Reader
	mac    hash.Hash
	prefix string // of ids
	first  int    // the connection's number
	load   load

	sent    int
	request []byte // of the last exchange, for its room
	body    []byte
}

func (c *connection) exchange() (sample, error) {
	c.sent++
	c.compose(c.prefix+strconv.Itoa(c.sent), strconv.FormatInt(time.Now().Unix(), 10))
	begin := time.Now()
	if err := c.socket.SetDeadline(begin.Add(answerTimeout)); err != nil {
		return sample{}, err
	}
	if _, err := c.socket.Write(c.request); err != nil {
		return sample{}, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return sample{}, fmt.Errorf("read the answer: %w", err)
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return sample{}, fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return sample{}, fmt.Errorf("answered %s: %s", response.Status, answer)
	}
	end := time.Now()
	return sample{at: end, took: end.Sub(begin)}, nil
}

func (c *connection) compose(id, timestamp string) {
	c.body = webhookBody(c.body[:0], id, c.load.kind+c.number()%max(1, c.load.types), c.load.size)
	c.mac.Reset()
	c.mac.Write([]byte(id + "." + timestamp + "."))
	c.mac.Write(c.body)
	r := append(c.request[:0], "POST "+path+" HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"...)
	r = append(r, headerID+": "+id+"\r\n"+headerTimestamp+": "+timestamp+"\r\n"+headerSignature+": "+signaturePrefix...)
	r = base64.StdEncoding.AppendEncode(r, c.mac.Sum(nil))
	r = append(r, "\r\nContent-Length: "+strconv.Itoa(len(c.body))+"\r\n\r\n"...)
	c.request = append(r, c.body...)
}

// number is the event's among all, where they are sent at a rate; else that among
// the connection's own, so that as many of a name come together as there are
// connections.
func (c *connection) number() int {
	if c.load.rate > 0 {
		return c.first + c.sent*c.load.connections
	}
	return c.sent
}

// webhookBody appends a body of the given size, of an event of a numbered type.
func webhookBody(to []byte, id string, number, size int) []byte {
	to = append(to, `{"type":"`+eventRoot+strconv.Itoa(number)+`","id":"`+id+`","pad":"`...)
	for len(to) < size-len(`"}`) {
		to = append(to, 'x')
	}
	return append(to, `"}`...)
}
