package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
)

const (
	// requestHolds is for how long a request for messages holds, and with it how
	// long it takes to end the reading, since no request can be taken back. On a
	// cluster, which replicates requests, it is longer.
	requestHolds        = time.Second
	requestHoldsCluster = 5 * time.Second
	// Where nothing came for idleRequests in a row each holds twice as long as the
	// one before, up to requestHoldsIdle.
	idleRequests     = 8
	requestHoldsIdle = 30 * time.Second
	// silence is for how long nothing has come, not even that a request is over or
	// holds still, where the server has forgotten it, such as one whose leader is
	// gone. It is asked again.
	silence = 10 * time.Second
	// quiet is for how long nothing has come where nothing more is on its way.
	quiet = 20 * time.Millisecond
	// statusRoom is for what the server says beside messages, while nobody reads.
	statusRoom = 64
)

// feed is what comes from a consumer, a number of messages fetched in advance. One
// goroutine reads it, and asks for more as it does: the iterator of nats.go asks
// in another, and misses its moment where the two meet, which leaves an endpoint
// without deliveries until two heartbeats are missed.
type feed struct {
	conn     *nats.Conn
	subject  string        // for requests
	shortest time.Duration // that a request holds
	advance  int
	sub      *nats.Subscription
	messages chan *nats.Msg
	status   chan nats.Status // of the connection
	drained  chan struct{}    // closed by drain
	hurried  chan struct{}    // closed by hurry
	once     [2]sync.Once     // of drain and of hurry
	ended    chan struct{}    // closed when nothing more comes

	patience time.Duration // silence
	holds    time.Duration // that the next request does
	idle     int           // requests in a row for which nothing came
	until    time.Time     // when a drained feed no longer waits for its requests
	asked    int           // for so many, which have not come yet
	silent   *time.Timer
	lost     bool // the connection was
	left     bool // the server was told that nothing more is wanted
}

// holding is for how long requests for messages hold.
func holding(b *bus.Bus) time.Duration {
	if b.KeepsConsumers() {
		return requestHolds
	}
	return requestHoldsCluster
}

// newFeed returns a feed that fetches so many messages in advance, and may grow.
func newFeed(b *bus.Bus, of jetstream.Consumer, advance, most int) (*feed, error) {
	conn, info := b.JetStream().Conn(), of.CachedInfo()
	f := &feed{conn: conn, subject: "$JS.API.CONSUMER.MSG.NEXT." + info.Stream + "." + info.Name, advance: advance,
		shortest: holding(b), holds: holding(b), patience: silence, messages: make(chan *nats.Msg, 2*most+statusRoom),
		drained: make(chan struct{}), hurried: make(chan struct{}), ended: make(chan struct{})}
	var err error
	if f.sub, err = conn.ChanSubscribe(conn.NewInbox(), f.messages); err != nil {
		return nil, err
	}
	var once sync.Once
	f.sub.SetClosedHandler(func(string) { once.Do(func() { close(f.ended) }) })
	f.status = conn.StatusChanged(nats.CONNECTED, nats.RECONNECTING)
	f.silent = time.NewTimer(silence)
	return f, nil
}

// grow has more messages fetched in advance, up to the most that the feed was made for.
// To fetch fewer it is drained and another one takes its place.
func (f *feed) grow(advance int) { f.advance = advance }

// close gives up what has not been read.
func (f *feed) close() {
	f.silent.Stop()
	f.conn.RemoveStatusListener(f.status)
	_ = f.sub.Unsubscribe() // fails where it has ended already
}

// drain has no more messages asked for. Those that were asked for are read until they
// have come or their request is over: what the server hands out in the moment in which
// it hears that nothing is wanted reaches nobody, and comes again only after the
// consumer's AckWait. Where nothing has come for long it does not wait for that.
func (f *feed) drain() {
	f.once[0].Do(func() { close(f.drained) })
}

// hurry is drain that does not wait for the requests, where what reaches nobody comes
// again soon.
func (f *feed) hurry() {
	f.drain()
	f.once[1].Do(func() { close(f.hurried) })
}

func (f *feed) draining() bool { return isClosed(f.drained) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// leave tells the server that nothing more is wanted.
func (f *feed) leave() {
	if !f.left {
		f.left = true
		_ = f.sub.Drain() // fails where the connection is closed, which ends the feed too
	}
}

// next returns the next message. The error is io.EOF after all that came until
// drain was called; jetstream.ErrNoHeartbeat where the server has been silent,
// and may be asked again by another call; any other is the end of the feed.
func (f *feed) next() (*nats.Msg, error) {
	for {
		f.ask()
		if f.asked == 0 && f.draining() {
			f.leave()
		}
		m, err := f.wait()
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue
		}
		if len(m.Data) > 0 || len(m.Header["Status"]) == 0 {
			f.asked, f.idle, f.holds = max(0, f.asked-1), 0, f.shortest
			return m, nil
		}
		if err := f.note(m.Header); err != nil {
			return nil, err
		}
	}
}

// ask asks for more when half of the messages have come. What is not sent is
// asked for again when the connection is back, or after the silence.
func (f *feed) ask() {
	if f.asked >= (f.advance+1)/2 || f.draining() {
		return
	}
	request := fmt.Appendf(nil, `{"expires":%d,"batch":%d`, f.holds, f.advance-f.asked)
	if f.holds >= silence { // or it would be taken for forgotten
		request = fmt.Appendf(request, `,"idle_heartbeat":%d`, silence/2)
	}
	_ = f.conn.PublishRequest(f.subject, f.sub.Subject, append(request, '}'))
	f.asked = f.advance
}

// wait returns the next that comes from the server, or nil when it was something
// else.
func (f *feed) wait() (*nats.Msg, error) {
	select {
	case m := <-f.messages:
		return m, nil
	default:
	}
	drained, hurried, patience := f.drained, f.hurried, f.patience
	ending := f.draining() && !f.left
	if ending {
		patience = f.whileEnding()
	}
	if f.draining() {
		drained = nil // it is known
	}
	if isClosed(hurried) {
		hurried = nil
	}
	f.silent.Reset(patience)
	select {
	case m := <-f.messages:
		return m, nil
	case <-drained:
	case <-hurried:
	case now, ok := <-f.status:
		if !ok {
			f.status = nil // the connection is closed, which ends the feed
		}
		if now == nats.CONNECTED && f.lost {
			f.asked = 0 // the server that was asked, or this one, has forgotten
		}
		f.lost = now == nats.RECONNECTING
	case <-f.silent.C:
		if ending {
			f.leave()
			return nil, nil
		}
		f.asked = 0
		return nil, jetstream.ErrNoHeartbeat
	case <-f.ended:
		select {
		case m := <-f.messages:
			return m, nil
		default:
		}
		if f.conn.IsClosed() {
			return nil, jetstream.ErrConnectionClosed
		}
		return nil, io.EOF
	}
	return nil, nil
}

// whileEnding is for how long a drained feed waits for the next message: not at all
// where it is to hurry, nothing has come for long, or the server should have said by
// now that the requests are over.
func (f *feed) whileEnding() time.Duration {
	if f.until.IsZero() {
		f.until = time.Now().Add(2 * f.shortest)
	}
	if isClosed(f.hurried) || f.holds > f.shortest {
		return quiet
	}
	return max(quiet, time.Until(f.until))
}

// isDeleted reports whether a consumer has been silent because it is not there any
// more. Otherwise the server is to be asked again.
func isDeleted(ctx context.Context, consumer jetstream.Consumer) bool {
	_, err := consumer.Info(ctx)
	return errors.Is(err, jetstream.ErrConsumerNotFound)
}

// note takes in what the server says about a request. Where it refuses one, such
// as while it shuts down, it is asked again after the silence.
func (f *feed) note(header nats.Header) error {
	text := strings.ToLower(header.Get("Description"))
	switch header.Get("Status") {
	case "400":
		return fmt.Errorf("%w: %s", jetstream.ErrBadRequest, text)
	case "404", "408":
		left, _ := strconv.Atoi(header.Get("Nats-Pending-Messages"))
		f.asked = max(0, f.asked-left)
		if f.idle++; f.idle >= idleRequests {
			f.holds = min(2*f.holds, max(requestHoldsIdle, f.shortest))
		}
	case "409":
		if strings.Contains(text, "consumer deleted") {
			return jetstream.ErrConsumerDeleted
		}
		if strings.Contains(text, "leadership change") {
			f.asked = 0
		}
	}
	return nil
}
