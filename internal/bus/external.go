package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/event"
)

// This file checks a bus that others run. What would lose events or end in
// silence is refused at start, with what to do; what is merely less than it
// could be is warned of.

const (
	// flushWait is how long the servers have to tell how they flush. Only a
	// user with a view of the system account gets an answer.
	flushWait = 500 * time.Millisecond
	// fewConsumers is a limit that endpoints may run into: each takes a consumer
	// of its environment's stream and one of RETRY.
	fewConsumers = 100
)

// checkServer refuses a server that lacks what the streams need.
func (b *Bus) checkServer() error {
	shortfall, err := judge(b.publishing.ConnectedServerVersion())
	if err != nil {
		return fmt.Errorf("NATS server at %s: %w", b.publishing.ConnectedUrlRedacted(), err)
	}
	if shortfall != "" {
		b.config.Logger.Warn(shortfall, "version", b.publishing.ConnectedServerVersion())
	}
	if b.config.Stream.Replicas == 1 {
		b.config.Logger.Warn("events have one copy on the bus: the loss of one server's disk loses them; use three servers and set nats.stream.replicas to 3")
	}
	return nil
}

// judge returns what a server of a version cannot do well, or an error where it
// cannot do what it must.
func judge(version string) (shortfall string, err error) {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return "version of the NATS server cannot be read; it should be 2.15 or later", nil
	}
	switch {
	case major < 2 || major == 2 && minor < 14:
		return "", fmt.Errorf("version %s is too old: update the servers to 2.15, or to 2.14 at least", version)
	case major == 2 && minor == 14:
		return "NATS server flushes each message by itself; 2.15 flushes those that wait together, and is much faster with sync_interval: always", nil
	}
	return "", nil
}

// checkAccount finds out whether the account allows what jethook will do.
func (b *Bus) checkAccount(ctx context.Context) error {
	if err := b.insist(ctx, b.probe); err != nil {
		return fmt.Errorf("try what jethook needs of the bus: %w", err)
	}
	var info *jetstream.AccountInfo
	if err := b.insist(ctx, func(ctx context.Context) (err error) {
		info, err = b.consumer.AccountInfo(ctx)
		return err
	}); err != nil {
		return fmt.Errorf("read the account's limits: %w", explain(err))
	}
	tier := b.tier(info)
	log := b.config.Logger
	if limit := tier.Limits.MaxStore; limit > 0 {
		if left := limit - int64(max(tier.ReservedStore, tier.Store)); left < limit/10 {
			log.Warn("the streams reserve nearly all that the account may store, and little is left for retries and dead events: raise the account's limit or lower nats.stream.max_bytes",
				"limit", mebibytes(limit), "left", mebibytes(max(0, left)))
		}
	}
	if limit := tier.Limits.MaxConsumers; limit > 0 && limit < fewConsumers {
		log.Warn("the account allows few consumers, of which each endpoint takes one on its environment's stream and one on RETRY: raise its limit if endpoints cannot be added",
			"limit", limit, "in_use", tier.Consumers)
	}
	b.checkFlush(ctx)
	return nil
}

// probe asks for what jethook will ask for, in a form that changes nothing, all
// at once: the server answers to what a user may not ask with silence, and tells
// the connection which subject it was. ctx has a deadline.
func (b *Bus) probe(ctx context.Context) error {
	var group errgroup.Group // none is cut short, so that all that is refused is known
	ask := func(subject string, header nats.Header, body string) {
		group.Go(func() error {
			// Any answer will do, also that there is no such thing.
			_, err := b.consuming.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: header, Data: []byte(body)})
			return err
		})
	}
	const prefix = "$JS.API."
	for _, env := range event.Envs() {
		stream := StreamName(env)
		ask(prefix+"CONSUMER.LIST."+stream, nil, "{}")
		ask(prefix+"CONSUMER.NAMES."+stream, nil, "{}")
		ask(prefix+"CONSUMER.INFO."+stream+".jethook_probe", nil, "")
		ask(prefix+"DIRECT.GET."+stream, nil, `{"seq":1}`)
		ask(prefix+"STREAM.MSG.GET."+stream, nil, `{"seq":1}`)
	}
	for _, stream := range []string{Retry, Dead} {
		ask(prefix+"STREAM.MSG.DELETE."+stream, nil, "no sequence")
	}
	// The server refuses what is meant for a stream of another name.
	elsewhere := nats.Header{"Nats-Expected-Stream": {"jethook-probe"}}
	for _, env := range event.Envs() {
		for _, root := range []string{event.SubjectRoot, Again, RetryWait, RetryDue, DeadRoot, AttemptsRoot} {
			ask(root+"."+string(env)+".jethook.probe", elsewhere, "")
		}
	}
	for _, bucket := range []string{Endpoints, Secrets, Keys, Managed, Replicas, Replies, Replays} {
		ask("$KV."+bucket+".probe", elsewhere, "")
	}
	return group.Wait()
}

// checkFlush tells whether the servers flush before they acknowledge.
func (b *Bus) checkFlush(ctx context.Context) {
	always, lazy := b.flushes(ctx)
	log := b.config.Logger
	switch {
	case len(lazy) > 0 && b.config.Stream.Replicas == 1:
		log.Warn("the server flushes its disk now and then only: its loss of power loses what was answered 2xx; set jetstream.sync_interval to always on it", "servers", lazy)
	case len(lazy) > 0:
		log.Warn("servers flush their disks now and then only: a loss of power of all at once loses what was answered 2xx; set jetstream.sync_interval to always on each", "servers", lazy)
	case len(always) == 0:
		log.Info("whether the servers flush before they acknowledge is told to the system account only; jetstream.sync_interval should be always on each")
	}
}

// flushes returns the servers that flush before they acknowledge and those that
// do not, as far as they tell.
func (b *Bus) flushes(ctx context.Context) (always, lazy []string) {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	inbox := b.consuming.NewInbox()
	answers, err := b.consuming.SubscribeSync(inbox)
	if err != nil {
		return nil, nil
	}
	defer func() { _ = answers.Unsubscribe() }() // the connection may have ended
	if err := b.consuming.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", inbox, nil); err != nil {
		return nil, nil
	}
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return always, lazy // nobody answers, or nobody any more
		}
		var of struct {
			Server struct{ Name string }
			Data   *struct {
				Disabled bool
				Config   struct {
					Always bool `json:"sync_always"`
				}
			}
		}
		switch err := json.Unmarshal(m.Data, &of); {
		case err != nil || of.Data == nil || of.Data.Disabled:
		case of.Data.Config.Always:
			always = append(always, of.Server.Name)
		default:
			lazy = append(lazy, of.Server.Name)
		}
	}
}

// maxDenied bounds the subjects that are remembered.
const maxDenied = 50

// deny notes that the server refused a subject, of which it tells beside the
// request that then gets no answer. It logs each once.
func (b *Bus) deny(err error) {
	what := strings.TrimPrefix(err.Error(), nats.ErrPermissionViolation.Error()+": ")
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Contains(b.denied, what) || len(b.denied) == maxDenied || strings.Contains(what, "$SYS.") {
		return // what was asked of the system account was a try
	}
	b.denied = append(b.denied, what)
	b.config.Logger.Error("the bus refuses what jethook asks of it: allow it to the NATS user", "refused", what)
}

// refused returns what the server has refused, or nil.
func (b *Bus) refused() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.denied) == 0 {
		return nil
	}
	return fmt.Errorf("the NATS user lacks permissions, and what it may not ask is not answered; allow: %s", strings.Join(b.denied, "; "))
}

// room adds what the account may store to an error for lack of storage.
func (b *Bus) room(ctx context.Context, err error) error {
	var api *jetstream.APIError
	if b.server != nil || !errors.As(err, &api) || !slices.Contains(storageCodes, api.ErrorCode) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, unknown := b.consumer.AccountInfo(ctx)
	if unknown != nil {
		return err
	}
	tier := b.tier(info)
	limit := "without limit"
	if tier.Limits.MaxStore >= 0 {
		limit = mebibytes(tier.Limits.MaxStore)
	}
	return fmt.Errorf("%w (the account may store %s, %s are reserved, and each of the %d event streams reserves %s in %d replicas)",
		err, limit, mebibytes(int64(tier.ReservedStore)), len(event.Envs()), mebibytes(b.config.Stream.MaxBytes), b.config.Stream.Replicas)
}

// tier returns the part of an account that limits streams of so many replicas.
func (b *Bus) tier(info *jetstream.AccountInfo) jetstream.Tier {
	if of, ok := info.Tiers[fmt.Sprintf("R%d", b.config.Stream.Replicas)]; ok {
		return of
	}
	return info.Tier
}
