package bus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// Names of what jethook keeps on the bus beside the event streams.
const (
	Retry    = "RETRY"    // work queue of pointers to events that are due again
	Dead     = "DEAD"     // pointers to events that will not be tried again
	Attempts = "ATTEMPTS" // records of delivery attempts
	// Exhausted has the server's advisories about events that subscribers did not
	// acknowledge, or refused.
	Exhausted = "EXHAUSTED"

	Endpoints = "ENDPOINTS" // bucket: the state of endpoints that replicas share
	Secrets   = "SECRETS"   // bucket: generated secrets, encrypted
	Keys      = "KEYS"      // bucket: hashes of generated API keys
	Managed   = "MANAGED"   // bucket: what was made over the management API, encrypted
	Replies   = "REPLIES"   // bucket: answers to requests with an Idempotency-Key, encrypted
	Replays   = "REPLAYS"   // bucket: events that are delivered again
	Replicas  = "REPLICAS"  // bucket: the processes that deliver; on a cluster alone
)

// How long entries stay: of Replicas, and of Replies.
const (
	ReplicaTTL = 15 * time.Second
	ReplyTTL   = 24 * time.Hour
)

// Roots of the subjects of those streams; the next tokens are environment and
// endpoint.
const (
	Again        = "again"      // in the event streams: {env}.{subscriber}.{source}.{event}
	RetryWait    = "retry.wait" // a scheduled message: {env}.{endpoint}.{sequence}; or a plain one: {env}.{endpoint}.later.{slot}
	RetryDue     = "retry.due"
	DeadRoot     = "dead"
	AttemptsRoot = "attempts"
)

const (
	attemptsMaxAge   = 14 * 24 * time.Hour
	replayTTL        = 90 * 24 * time.Hour
	attemptsMaxBytes = 1 << 30
	// requestTimeout bounds one request to the server. A cluster that has no
	// leader yet does not answer.
	requestTimeout = 5 * time.Second
)

// StreamName returns the name of the stream that holds env's events.
func StreamName(env event.Env) string { return "EVENTS_" + strings.ToUpper(string(env)) }

// EnvOf returns whose events a stream holds; false where it holds nobody's.
func EnvOf(stream string) (event.Env, bool) {
	for _, env := range event.Envs() {
		if StreamName(env) == stream {
			return env, true
		}
	}
	return "", false
}

// streams are the definitions that the bus must match.
func (b *Bus) streams() []jetstream.StreamConfig {
	limits := b.config.Stream
	var all []jetstream.StreamConfig
	for _, env := range event.Envs() {
		all = append(all, jetstream.StreamConfig{
			Name:        StreamName(env),
			Description: "events received in " + string(env),
			Subjects:    []string{event.SubjectRoot + "." + string(env) + ".>", Again + "." + string(env) + ".>"},
			Storage:     jetstream.FileStorage,
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardNew, // full refuses; nothing undelivered is dropped to make room
			MaxAge:      limits.MaxAge,
			MaxBytes:    limits.MaxBytes,
			Duplicates:  limits.DedupeWindow,
			Replicas:    limits.Replicas,
			AllowDirect: true,
		})
	}
	return append(all, b.exhausted(),
		jetstream.StreamConfig{
			Name:        Retry,
			Description: "deliveries that are due again; no limits, for a limit would drop them",
			Subjects:    []string{RetryWait + ".>", RetryDue + ".>"},
			Storage:     jetstream.FileStorage, Retention: jetstream.WorkQueuePolicy,
			Duplicates: min(limits.DedupeWindow, 10*time.Minute),
			Replicas:   limits.Replicas, AllowMsgSchedules: true, AllowDirect: true,
			// The server sets these itself for schedules; named so that they are no drift.
			AllowRollup: true,
		},
		jetstream.StreamConfig{
			Name:        Dead,
			Description: "deliveries given up, with reason",
			Subjects:    []string{DeadRoot + ".>"},
			Storage:     jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
			MaxAge: limits.MaxAge, Duplicates: min(limits.DedupeWindow, 10*time.Minute),
			Replicas: limits.Replicas, AllowDirect: true,
		},
		jetstream.StreamConfig{
			Name:        Attempts,
			Description: "delivery attempts, in groups",
			Subjects:    []string{AttemptsRoot + ".>"},
			Storage:     jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardOld, MaxAge: attemptsMaxAge, MaxBytes: attemptsMaxBytes,
			Replicas: limits.Replicas, AllowDirect: true,
		})
}

// exhausted takes the advisories about consumers of the event streams.
func (b *Bus) exhausted() jetstream.StreamConfig {
	stream := jetstream.StreamConfig{
		Name:        Exhausted,
		Description: "events that subscribers did not acknowledge, or refused, before they are stored as dead",
		Storage:     jetstream.FileStorage, Retention: jetstream.WorkQueuePolicy,
		MaxAge: b.config.Stream.MaxAge, Replicas: b.config.Stream.Replicas, AllowDirect: true,
	}
	for name := range eventStreams() {
		for _, kind := range []string{"MAX_DELIVERIES", "MSG_TERMINATED"} {
			stream.Subjects = append(stream.Subjects, advisories+kind+"."+name+".*")
		}
	}
	return stream
}

// ensureLayout creates what is missing and brings what differs back to its
// definition, saying so: a setting was changed, or somebody else changed the
// stream.
func (b *Bus) ensureLayout(ctx context.Context) error {
	for _, want := range b.streams() {
		if err := b.insist(ctx, func(ctx context.Context) error { return b.ensureStream(ctx, want) }); err != nil {
			return fmt.Errorf("stream %s: %w", want.Name, b.room(ctx, explain(err)))
		}
	}
	buckets := []jetstream.KeyValueConfig{
		{Bucket: Endpoints, Description: "state of endpoints", Replicas: b.config.Stream.Replicas},
		{Bucket: Secrets, Description: "generated secrets, encrypted", Replicas: b.config.Stream.Replicas},
		{Bucket: Keys, Description: "hashes of generated API keys", Replicas: b.config.Stream.Replicas},
		{Bucket: Managed, Description: "sources, endpoints and subscribers made over the management API, encrypted", Replicas: b.config.Stream.Replicas, LimitMarkerTTL: 24 * time.Hour},
		{Bucket: Replays, Description: "events that are delivered again", Replicas: b.config.Stream.Replicas, TTL: replayTTL},
		{Bucket: Replies, Description: "answers to requests that are made once, encrypted", Replicas: b.config.Stream.Replicas, TTL: ReplyTTL, MaxBytes: 64 << 20},
	}
	if b.server == nil {
		buckets = append(buckets, jetstream.KeyValueConfig{Bucket: Replicas, Description: "processes that deliver",
			Replicas: b.config.Stream.Replicas, TTL: ReplicaTTL, Storage: jetstream.MemoryStorage})
	}
	for _, bucket := range buckets {
		if err := b.insist(ctx, func(ctx context.Context) error { return b.ensureBucket(ctx, bucket) }); err != nil {
			return fmt.Errorf("bucket %s: %w", bucket.Bucket, explain(err))
		}
	}
	return nil
}

// insist asks again while a cluster is still finding itself: it has no leader,
// or its leader has not heard of every server yet. The embedded server is asked
// once, and answers when the disk has done its part.
func (b *Bus) insist(ctx context.Context, ask func(context.Context) error) error {
	if b.server != nil {
		return ask(ctx)
	}
	for {
		asking, cancel := context.WithTimeout(ctx, requestTimeout)
		err := ask(asking)
		cancel()
		if err == nil || !forming(err) {
			return err
		}
		if refused := b.refused(); refused != nil {
			return fmt.Errorf("%w: %w", refused, err)
		}
		b.config.Logger.Warn("bus is not ready yet", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(reconnectWait):
		}
	}
}

// forming reports whether an error may pass by itself while a cluster forms:
// no suitable peers, not available, not the leader, or no answer.
func forming(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return slices.Contains([]jetstream.ErrorCode{10005, 10008, 10009}, api.ErrorCode)
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout)
}

// Unavailable reports whether an error says that the bus does not answer for
// now, and nothing about what was asked.
func Unavailable(err error) bool {
	return forming(err) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionReconnecting)
}

func (b *Bus) ensureBucket(ctx context.Context, bucket jetstream.KeyValueConfig) error {
	if _, err := b.consumer.CreateKeyValue(ctx, bucket); !errors.Is(err, jetstream.ErrBucketExists) {
		return err
	}
	return nil
}

func (b *Bus) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	stream, err := b.consumer.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = b.consumer.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return b.ensureStream(ctx, want) // another replica was first
		}
		return err
	}
	if err != nil {
		return err
	}
	have := stream.CachedInfo().Config
	next, changed := overlay(have, want)
	if len(changed) == 0 {
		return nil
	}
	b.config.Logger.Warn("stream differs from the configuration and is updated", "stream", want.Name, "fields", changed)
	_, err = b.consumer.UpdateStream(ctx, next)
	return err
}

// overlay returns have with the fields that want sets, and their names where
// they differ. What want leaves zero is the operator's to choose.
func overlay(have, want jetstream.StreamConfig) (jetstream.StreamConfig, []string) {
	var changed []string
	next := have
	from, to := reflect.ValueOf(want), reflect.ValueOf(&next).Elem()
	for i := range from.NumField() {
		name := from.Type().Field(i).Name
		enumerated := name == "Discard" || name == "Retention" || name == "Storage" // zero is a choice
		if from.Field(i).IsZero() && !enumerated {
			continue
		}
		if !reflect.DeepEqual(from.Field(i).Interface(), to.Field(i).Interface()) {
			changed = append(changed, name)
			to.Field(i).Set(from.Field(i))
		}
	}
	return next, changed
}

// storageCodes are the server's errors for lack of storage: the account's, the
// server's, or that of a stream of such a size.
var storageCodes = []jetstream.ErrorCode{10002, 10023, 10028, 10047, 10122}

// explain adds the remedy to the errors an operator can mend.
func explain(err error) error {
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return fmt.Errorf("%w: enable JetStream on the server or for the account", err)
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	if slices.Contains(storageCodes, api.ErrorCode) {
		return fmt.Errorf("%w: lower nats.stream.max_bytes or give the account or the server more storage", err)
	}
	switch api.ErrorCode {
	case 10074, 10005:
		return fmt.Errorf("%w: lower nats.stream.replicas or add servers", err)
	case 10026, 10027, 10120:
		return fmt.Errorf("%w: raise the account's limits; jethook keeps six streams and seven buckets, which are streams too, and two consumers for each endpoint", err)
	case 10113:
		return fmt.Errorf("%w: lift that demand, for RETRY and DEAD have no limit that could drop deliveries", err)
	}
	return err
}
