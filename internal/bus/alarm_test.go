package bus

import (
	"context"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
)

// heard waits for the alarm and returns for whom it has rung.
func heard(t *testing.T, a *Alarm) []string {
	t.Helper()
	<-a.Bell()
	names := a.Rung()
	slices.Sort(names)
	return names
}

func TestAnAlarmRingsForThoseWhoseSubjectsAreStored(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	a := b.NewAlarm()
	a.Set("billing", []string{"events.prod.clink.>", "events.prod.shop.order.paid"})
	a.Set("ledger", []string{"events.prod.>", RetryDue + ".prod.ledger"})
	a.Set("asleep", []string{"events.prod.shop.order.refunded"})
	publish(t, b, numbered(1))
	expect(t, "names after an event", heard(t, a), []string{"billing", "ledger"})
	put(t, b, &nats.Msg{Subject: RetryDue + ".prod.ledger"})
	expect(t, "names after a retry", heard(t, a), []string{"ledger"})
	a.Clear("ledger")
	a.Set("billing", []string{"events.test.>"})
	a.Set("witness", []string{"events.prod.>"})
	publish(t, b, numbered(2))
	expect(t, "names after a change", heard(t, a), []string{"witness"})
}

func TestAnAlarmRingsAlsoWhenTheOutcomeIsNotKnown(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	a := b.NewAlarm()
	a.Set("billing", []string{"events.prod.>"})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = b.put(gone, "EVENTS_PROD", &nats.Msg{Subject: "events.prod.shop.order.paid"}) // which the server may have taken
	expect(t, "names", heard(t, a), []string{"billing"})
}
