package fanout

import (
	"testing"
	"time"
)

func TestTheReasonOfAnOutageIsTheLatest(t *testing.T) {
	b := openBus(t, t.TempDir())
	bucket, err := openStates(t.Context(), b.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now().UTC()
	for i, reason := range []string{"connection refused", "status 500", "status 500"} {
		found, err := fail(t.Context(), bucket, "prod.billing", failing{Since: begun.Add(time.Duration(i) * time.Hour), Reason: reason, Fingerprint: "of its url"})
		if err != nil || found.Failing == nil || found.Failing.Reason != reason || !found.Failing.Since.Equal(begun) || found.Failing.Told != untold {
			t.Errorf("after %q the record is %+v, %v; want that reason and the first time", reason, found.Failing, err)
		}
	}
}
