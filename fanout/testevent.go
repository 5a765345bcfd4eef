package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

// testType names the event that Test sends.
const testType = "jethook.test"

// Test sends an event to an endpoint once, signed as a delivery is, whether the
// endpoint gets events now or not. The event is stored nowhere. There is no such
// endpoint here: bus.ErrNotFound.
func (d *Directory) Test(ctx context.Context, env event.Env, name string, client *deliver.Client) (a deliver.Attempt, err error) {
	found := d.of(ref{env, name})
	if found == nil {
		return a, bus.ErrNotFound
	}
	e := found.Endpoint
	if err := d.complete(ctx, &e); err != nil {
		return a, err
	}
	worker, err := deliver.NewWorker(deliver.WorkerConfig{
		Endpoint: e, Bus: d.bus, Client: client, Logger: d.logger,
		OnGone: func(context.Context, string) error { return nil },
	})
	if err != nil {
		return a, fmt.Errorf("test endpoint %s/%s: %w", env, name, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return a, err
	}
	now := d.now().UTC()
	body, err := json.Marshal(map[string]any{"type": testType, "timestamp": now.Format(time.RFC3339Nano), "data": map[string]string{"endpoint": name, "env": string(env)}})
	if err != nil {
		return a, err
	}
	return worker.Try(ctx, &event.Event{ID: event.NewID(env, event.System, "test "+id.String()), Env: env, Source: event.System, Type: testType,
		Time: now, ContentType: "application/json", Data: body}), nil
}

// complete gives an endpoint of the file the secret that was generated for it.
func (d *Directory) complete(ctx context.Context, e *deliver.Endpoint) error {
	s, err := e.Signature.Scheme()
	if err != nil || s.Algorithm == signature.None || len(e.Keys) > 0 {
		return err
	}
	bucket, err := d.bus.JetStream().KeyValue(ctx, bus.Secrets)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.Secrets, err)
	}
	d.keys.mu.Lock()
	defer d.keys.mu.Unlock()
	key, err := d.keys.read(ctx, bucket, ref{e.Env, e.Name}, s)
	e.Keys = []signature.Key{key}
	return err
}
