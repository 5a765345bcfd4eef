package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// fetchTimeout is how long the server has to answer a request for what is there.
const fetchTimeout = 5 * time.Second

// errManyRequests is the server's answer where too many requests wait at a
// consumer.
var errManyRequests = errors.New("too many requests wait at the consumer")

// want is a request for messages of one source.
type want struct {
	from  source
	batch int
	bytes int // of all together; 0 does not bound
}

// fetched is a message and the source that it came from.
type fetched struct {
	msg  *nats.Msg
	from source
}

// fetch asks once for messages: for those that are there or, where wait is not 0,
// for the first that comes. large says that the next one is larger than all were
// to be together. What was on its way when ctx ended is returned too.
func (s *shift) fetch(ctx context.Context, wait time.Duration, wants ...want) (got []fetched, large bool, err error) {
	f := &fetching{conn: s.config.Bus.JetStream().Conn(), wants: wants, left: make([]int, len(wants)), open: len(wants)}
	room := 2 * len(wants)
	for i, w := range wants {
		f.left[i] = w.batch
		room += w.batch
	}
	messages := make(chan *nats.Msg, room)
	inbox := f.conn.NewInbox()
	sub, err := f.conn.ChanSubscribe(inbox+".*", messages)
	if err != nil {
		return nil, false, err
	}
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { close(ended) })
	sub.SetClosedHandler(func(string) { end() })
	if err := f.ask(inbox, wait); err != nil {
		return nil, false, errors.Join(err, sub.Unsubscribe())
	}
	over := time.NewTimer(wait + fetchTimeout)
	defer over.Stop()
	for f.open > 0 && (wait == 0 || len(f.got) == 0) {
		select {
		case m := <-messages:
			f.take(m)
			continue
		case <-ctx.Done():
		case <-over.C:
		}
		break
	}
	if sub.Drain() != nil { // what is on its way comes still, unless the connection is closed
		end()
	}
	over.Reset(fetchTimeout)
	for {
		select {
		case m := <-messages:
			f.take(m)
			continue
		case <-over.C:
			end()
		case <-ended:
		}
		for len(messages) > 0 {
			f.take(<-messages)
		}
		return f.got, f.large, f.err
	}
}

// fetching is a fetch under way.
type fetching struct {
	conn  *nats.Conn
	wants []want
	left  []int // messages of each that may come yet
	open  int   // requests that are not over
	got   []fetched
	large bool
	err   error
}

func (f *fetching) ask(inbox string, wait time.Duration) error {
	for i, w := range f.wants {
		info := w.from.consumer.CachedInfo()
		request := fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"no_wait":%t,"expires":%d}`, w.batch, w.bytes, wait == 0, wait)
		if err := f.conn.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+info.Stream+"."+info.Name, inbox+"."+strconv.Itoa(i), request); err != nil {
			return err
		}
	}
	return nil
}

// take notes a message, or what the server says instead.
func (f *fetching) take(m *nats.Msg) {
	status := m.Header.Get("Status")
	event := len(m.Data) > 0 || status == ""
	i := f.asked(m, event)
	if i < 0 || f.left[i] == 0 {
		return
	}
	if event {
		f.got = append(f.got, fetched{m, f.wants[i].from})
		if f.left[i]--; f.left[i] == 0 {
			f.open--
		}
		return
	}
	f.left[i] = 0
	f.open--
	switch text := strings.ToLower(m.Header.Get("Description")); {
	case status == "404", status == "408":
	case strings.Contains(text, "exceeds maxbytes"):
		f.large = true
	case strings.Contains(text, "exceeded maxwaiting"):
		f.err = errManyRequests
	case status == "503":
		f.err = nats.ErrNoResponders // the consumer was deleted, or has no leader
	default:
		f.err = fmt.Errorf("the bus refuses a request for events: %s %s", status, text)
	}
}

// asked returns which request an answer is to, or -1: what the server says comes
// under the request's own subject, and a message under the one it was stored with.
func (f *fetching) asked(m *nats.Msg, event bool) int {
	if !event {
		i, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
		if err != nil || i >= len(f.wants) {
			return -1
		}
		return i
	}
	meta, err := m.Metadata()
	return slices.IndexFunc(f.wants, func(w want) bool {
		return err == nil && w.from.consumer.CachedInfo().Stream == meta.Stream
	})
}
