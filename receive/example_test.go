package receive_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/jethook/jethook/receive"
)

const exampleSecret = "whsec_c2VjcmV0IG9mIHRoZSBleGFtcGxlcw=="

// deliver posts an event to the handler as jethook does.
func deliver(handler http.Handler, id, name, body string) int {
	library, err := standardwebhooks.NewWebhook(exampleSecret)
	if err != nil {
		log.Fatal(err)
	}
	now := time.Now()
	signature, err := library.Sign(id, now, []byte(body))
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(body))
	for header, value := range map[string]string{
		"webhook-id": id, "webhook-timestamp": strconv.FormatInt(now.Unix(), 10), "webhook-signature": signature,
		"ce-specversion": "1.0", "ce-id": id, "ce-source": "/prod/stripe", "ce-type": name, "ce-time": now.Format(time.RFC3339Nano),
	} {
		r.Header.Set(header, value)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}

// A service that gets events. In production the secrets come from a file or a
// variable; while the endpoint's secret is rotated there are two.
func ExampleHandler() {
	handler, err := receive.Handler([]string{exampleSecret}, func(_ context.Context, e receive.Event) error {
		fmt.Println(e.Source, e.Type, string(e.Data))
		return nil // answered 2xx: it does not come again
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/events", handler)

	fmt.Println(deliver(handler, "evt_1", "invoice.paid", `{"amount":1250}`))
	// Output:
	// stripe invoice.paid {"amount":1250}
	// 204
}

// What comes again is not handled again, as far as the memory of this process
// reaches.
func ExampleOnce() {
	handler, err := receive.Handler([]string{exampleSecret}, receive.Once(100_000, func(_ context.Context, e receive.Event) error {
		fmt.Println("handled", e.ID)
		return nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(deliver(handler, "evt_1", "invoice.paid", "{}"))
	fmt.Println(deliver(handler, "evt_1", "invoice.paid", "{}"))
	// Output:
	// handled evt_1
	// 204
	// 204
}

// What another service is too busy for comes again when it may be ready.
func ExampleRetryAfter() {
	handler, err := receive.Handler([]string{exampleSecret}, func(context.Context, receive.Event) error {
		return receive.RetryAfter(30*time.Second, errors.New("the ledger is at its limit"))
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(deliver(handler, "evt_1", "invoice.paid", "{}"))
	// Output: 503
}

// An event that must count once is recorded in the transaction that does its work,
// in a table such as
//
//	CREATE TABLE events_handled (id TEXT PRIMARY KEY, handled_at TIMESTAMPTZ NOT NULL DEFAULT now())
//
// so that both are there or neither, over restarts and in all replicas.
func ExampleHandler_database() {
	var db *sql.DB // the service's own
	handle := func(ctx context.Context, e receive.Event) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // changes nothing after Commit
		inserted, err := tx.ExecContext(ctx, "INSERT INTO events_handled (id) VALUES ($1) ON CONFLICT DO NOTHING", e.ID)
		if err != nil {
			return err
		}
		if n, err := inserted.RowsAffected(); err != nil || n == 0 {
			return err // nil: it was handled before
		}
		if _, err := tx.ExecContext(ctx, "UPDATE invoices SET paid = TRUE WHERE body = $1", e.Data); err != nil {
			return err
		}
		return tx.Commit()
	}
	handler, err := receive.Handler([]string{os.Getenv("JETHOOK_SECRET")}, handle)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/events", handler)
}
