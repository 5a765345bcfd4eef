package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// Range selects messages of a stream, for looking at them. No cursor but the
// look's own is touched.
type Range struct {
	Stream  string
	Subject string // with wildcards
	// Subjects select what any of them does, in place of Subject.
	Subjects []string
	// After leaves out what has that sequence or a lower one.
	After uint64
	// Since and Until bound the time of storing, Until excluded; zero does not.
	Since, Until time.Time
	// Only, where it is not nil, selects what it returns true for, of Newest and Each
	// alone: the messages are read to ask it.
	Only func(Message) bool
	// HeadersOnly leaves the bodies on the server; Size is known all the same.
	HeadersOnly bool
	// Batch is how many messages are asked for at a time, and so in memory at once;
	// zero means 500.
	Batch int
}

// Message is a stored message.
type Message struct {
	Subject  string
	Header   nats.Header
	Data     []byte
	Size     int // of the body
	Sequence uint64
	Time     time.Time // of storing
}

const (
	// browseIdle is when the server forgets a look that was cut short.
	browseIdle = 30 * time.Second
	// browseBatch is how many messages are asked for at a time.
	browseBatch = 500
	// browseWait bounds the wait for a batch that is there already.
	browseWait = 5 * time.Second
	// headerMsgSize holds the size of a body that the server has left out.
	headerMsgSize = "Nats-Msg-Size"
	// maxRegresses is how often a look begins further back when messages came or
	// went while it was made.
	maxRegresses = 5
)

// errMissed means that messages did not come here, as when the connection was lost:
// the server hands out each to a look once, and numbers them.
var errMissed = fmt.Errorf("%w: messages were lost on their way", event.ErrUnavailable)

// Newest returns limit messages of a range, the newest first, after leaving out
// the offset newest, and whether there are more. A stream can be read forwards
// only: the place to begin at is looked for by counting, and where Only has left
// too few, further back.
func (b *Bus) Newest(ctx context.Context, r Range, offset, limit int) (messages []Message, more bool, err error) {
	v, err := b.view(ctx, r)
	if err != nil || v.first >= v.end {
		return nil, false, err
	}
	need := offset + limit + 1
	for wanted, tries := need, 0; ; wanted, tries = wanted*2, tries+1 {
		from, err := v.start(ctx, wanted)
		if err != nil {
			return nil, false, err
		}
		last := make([]Message, 0, min(need, 1024))
		if err := v.read(ctx, from, func(m Message) bool {
			if last = append(last, m); len(last) >= 2*need {
				last = append(last[:0], last[len(last)-need:]...)
			}
			return true
		}); err != nil {
			return nil, false, err
		}
		if len(last) < need && from > v.first && (tries < maxRegresses || r.Only != nil) {
			continue
		}
		for i := len(last) - 1 - offset; i >= 0 && len(messages) < limit; i-- {
			messages = append(messages, last[i])
		}
		return messages, len(last) >= need, nil
	}
}

// Each visits the messages of a range, the oldest first, until visit returns
// false or what was there when it began has been seen. It leaves out none: where one
// does not come, the error says so.
func (b *Bus) Each(ctx context.Context, r Range, visit func(Message) bool) error {
	v, err := b.view(ctx, r)
	if err != nil || v.first >= v.end {
		return err
	}
	return v.read(ctx, v.first, visit)
}

// Count returns how many messages of a range there are up to a sequence.
func (b *Bus) Count(ctx context.Context, r Range, through uint64) (uint64, error) {
	v, err := b.view(ctx, r)
	if err != nil || v.first >= v.end || v.first > through {
		return 0, err
	}
	all, err := v.count(ctx, v.first)
	if err != nil {
		return 0, err
	}
	beyond, err := v.count(ctx, min(through+1, v.end))
	return all - min(all, beyond), err
}

// SequenceAt returns the sequence of the first message of a stream stored at that
// time or later, or the next one to be stored.
func (b *Bus) SequenceAt(ctx context.Context, stream string, at time.Time) (uint64, error) {
	v, err := b.view(ctx, Range{Stream: stream})
	if err != nil {
		return 0, err
	}
	return v.sequenceAt(ctx, at)
}

// view is a range with its bounds as sequences.
type view struct {
	Range
	stream     jetstream.Stream
	first, end uint64 // end is excluded
	beyond     uint64 // how many of the subject there are from end on
}

func (b *Bus) view(ctx context.Context, r Range) (*view, error) {
	stream, err := b.consumer.Stream(ctx, r.Stream)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", r.Stream, err)
	}
	state := stream.CachedInfo().State
	v := &view{Range: r, stream: stream, first: max(state.FirstSeq, r.After+1, 1), end: state.LastSeq + 1}
	if state.Msgs == 0 || v.first >= v.end {
		v.end = v.first
		return v, nil
	}
	for _, bound := range []struct {
		at    time.Time
		lower bool
	}{{r.Since, true}, {r.Until, false}} {
		if bound.at.IsZero() {
			continue
		}
		at, err := v.sequenceAt(ctx, bound.at)
		if err != nil {
			return nil, err
		}
		if bound.lower {
			v.first = max(v.first, at)
		} else {
			v.end = min(v.end, at)
		}
	}
	if v.end <= state.LastSeq {
		v.beyond, err = v.count(ctx, v.end)
	}
	return v, err
}

// start returns where to begin so that at least so many messages follow, and
// not many more where that can be had; the range's own beginning where there
// are not so many.
func (v *view) start(ctx context.Context, wanted int) (uint64, error) {
	matching := func(from uint64) (uint64, error) {
		n, err := v.count(ctx, from)
		return n - min(n, v.beyond), err
	}
	least, most := uint64(wanted), uint64(2*wanted+256)
	few := v.end             // few messages follow it
	var enough, found uint64 // so many follow enough
	for step := least; ; step *= 8 {
		from := v.first
		if v.end-v.first > step {
			from = v.end - step
		}
		n, err := matching(from)
		if err != nil {
			return 0, err
		}
		if enough, found = from, n; n >= least || from == v.first {
			break
		}
		few = from
	}
	for found > most && few-enough > 1 {
		middle := enough + (few-enough)/2
		n, err := matching(middle)
		if err != nil {
			return 0, err
		}
		if n >= least {
			enough, found = middle, n
		} else {
			few = middle
		}
	}
	return enough, nil
}

// read visits what the view holds from a sequence on.
func (v *view) read(ctx context.Context, from uint64, visit func(Message) bool) error {
	consumer, pending, err := v.open(ctx, v.Range, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, HeadersOnly: v.HeadersOnly,
	})
	if err != nil {
		return err
	}
	defer v.close(ctx, consumer)
	atOnce := uint64(cmp.Or(v.Batch, browseBatch))
	for seen := uint64(0); seen < pending; {
		batch, err := consumer.Fetch(int(min(pending-seen, atOnce)), jetstream.FetchMaxWait(browseWait))
		if err != nil {
			return fmt.Errorf("read stream %s: %w", v.Stream, err)
		}
		before := seen
		for raw := range batch.Messages() {
			m, number, err := message(raw)
			if seen++; err == nil && number != seen {
				err = errMissed
			}
			if err != nil {
				return fmt.Errorf("read stream %s: %w", v.Stream, err)
			}
			if m.Sequence >= v.end {
				return nil
			}
			if (v.Only == nil || v.Only(m)) && !visit(m) {
				return nil
			}
		}
		if err := errors.Join(batch.Error(), context.Cause(ctx)); err != nil {
			return fmt.Errorf("read stream %s: %w", v.Stream, err)
		}
		if seen == before {
			return v.ended(ctx, consumer, seen)
		}
	}
	return nil
}

// ended returns nil where a read that has seen so many messages and gets nothing more
// has had all there are: the rest has been removed meanwhile.
func (v *view) ended(ctx context.Context, consumer jetstream.Consumer, seen uint64) error {
	info, err := consumer.Info(ctx)
	if err == nil && (info.Delivered.Consumer != seen || info.NumPending > 0) {
		err = errMissed
	}
	if err != nil {
		return fmt.Errorf("read stream %s: %w", v.Stream, err)
	}
	return nil
}

// count returns how many messages of the subject there are from a sequence on.
func (v *view) count(ctx context.Context, from uint64) (uint64, error) {
	consumer, pending, err := v.open(ctx, v.Range, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, HeadersOnly: true,
	})
	if err != nil {
		return 0, err
	}
	v.close(ctx, consumer)
	return pending, nil
}

// sequenceAt returns the sequence of the first message stored at that time or
// later, or the next one to be stored.
func (v *view) sequenceAt(ctx context.Context, at time.Time) (uint64, error) {
	consumer, _, err := v.open(ctx, Range{}, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &at, HeadersOnly: true,
	})
	if err != nil {
		return 0, err
	}
	v.close(ctx, consumer)
	return consumer.CachedInfo().Delivered.Stream + 1, nil
}

// open makes a consumer of what a range selects that leaves no trace, and says how
// many messages it has.
func (v *view) open(ctx context.Context, of Range, config jetstream.ConsumerConfig) (jetstream.Consumer, uint64, error) {
	if config.FilterSubjects = of.Subjects; len(of.Subjects) == 0 {
		config.FilterSubject = of.Subject
	}
	config.AckPolicy = jetstream.AckNonePolicy
	config.MemoryStorage = true
	config.InactiveThreshold = browseIdle
	config.Description = "a look at the stream"
	consumer, err := v.stream.CreateConsumer(ctx, config)
	if err != nil {
		return nil, 0, fmt.Errorf("look at stream %s: %w", v.Stream, err)
	}
	return consumer, consumer.CachedInfo().NumPending, nil
}

// close removes a consumer; what fails here the server does by itself.
func (v *view) close(ctx context.Context, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	_ = v.stream.DeleteConsumer(ctx, consumer.CachedInfo().Name)
}

// message returns a message and its number among those of the look.
func message(raw jetstream.Msg) (m Message, number uint64, err error) {
	at, err := raw.Metadata()
	if err != nil {
		return m, 0, err
	}
	m = Message{Subject: raw.Subject(), Header: raw.Headers(), Data: raw.Data(), Size: len(raw.Data()),
		Sequence: at.Sequence.Stream, Time: at.Timestamp}
	if size, err := strconv.Atoi(m.Header.Get(headerMsgSize)); err == nil {
		m.Size = size
	}
	return m, at.Sequence.Consumer, nil
}
