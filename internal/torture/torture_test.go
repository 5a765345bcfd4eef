package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKillingTheProcessLosesNothingThatWasAcknowledged(t *testing.T) { holds(t, killRows()) }

func TestCuttingThePowerOrHarmingTheDiskLosesNothingThatWasAcknowledged(t *testing.T) {
	holds(t, diskRows())
}

func TestBreakingAClusterLosesNothingThatWasAcknowledged(t *testing.T) { holds(t, clusterRows()) }

// A trial that could not see a loss would say nothing about jethook.
func TestAStoreThatIsThrownAwayIsSeen(t *testing.T) {
	t.Parallel()
	h := built
	h.patience = 3 * time.Second // what is missing will not come
	got := try(t, h, row{name: "the store is thrown away", strike: func(ctx context.Context, t *trial) error {
		if err := await(ctx, "something was delivered", func(context.Context) error {
			if t.ledger.count().delivered == 0 {
				return errors.New("nothing was delivered")
			}
			return nil
		}); err != nil {
			return err
		}
		t.bridges[0].kill()
		if err := os.RemoveAll(filepath.Join(t.dir, "store")); err != nil {
			return err
		}
		return t.bridges[0].start(ctx)
	}})
	if got.Lost == 0 || got.Lost == got.Acknowledged || !strings.Contains(strings.Join(got.Wrong, "\n"), "the stream has it no more") {
		t.Errorf("result %+v, want it to tell that what was stored before is lost, and nothing else", got)
	}
}

func TestAControlThatLosesNothingFails(t *testing.T) {
	t.Parallel()
	got := try(t, built, row{name: "nothing is broken", control: true, strike: func(context.Context, *trial) error { return nil }})
	if want := "the control lost nothing: this test cannot fail"; len(got.Wrong) != 1 || got.Wrong[0] != want {
		t.Errorf("wrong: %q, want %q", got.Wrong, want)
	}
}

func TestADeliveryThatIsNotWhatWasSentIsAFault(t *testing.T) {
	t.Parallel()
	h := built
	h.patience = 3 * time.Second // none will be taken
	got := try(t, h, row{name: "another secret", prepare: func(_ context.Context, t *trial) (err error) {
		t.receiver.signer, err = newSigner()
		return err
	}, strike: func(context.Context, *trial) error { return nil }})
	if len(got.Wrong) == 0 || !strings.Contains(got.Wrong[0], "is not what was sent") || got.Delivered > 0 {
		t.Errorf("result %+v, want each delivery refused", got)
	}
}

func TestTheTableNamesWhatIsWrong(t *testing.T) {
	var table strings.Builder
	err := writeTable(&table, []result{
		{What: "good", Rounds: 2, Acknowledged: 10, Delivered: 10, Duplicates: 1, Resumed: &resumed{1.25, 2}},
		{What: "bad", Rounds: 2, Acknowledged: 10, Delivered: 9, Lost: 1, Wrong: []string{"1 lost: x"}, Log: "/tmp/log"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `what   rounds   acknowledged   delivered   duplicates   lost   resumed
good   2        10             10          1            0      2xx after 1.2 s, delivery after 2.0 s
bad    2        10             9           0            1      

bad: 1 lost: x
bad: the log is /tmp/log
`
	if got := table.String(); got != want {
		t.Errorf("table:\n%s\nwant:\n%s", got, want)
	}
}

func TestLossesAreCountedByKindAndTheFirstAreNamed(t *testing.T) {
	var lost []loss
	for _, id := range []string{"g", "f", "e", "d", "c", "b", "a"} {
		lost = append(lost, loss{id, "gone"})
	}
	got := describe(append(lost, loss{"z", "away"}))
	if want := []string{"1 lost: away: z", "7 lost: gone: a b c d e"}; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("described as %q, want %q", got, want)
	}
}

func TestFlagsThatMeanNothingAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-seconds", "0"}, {"-pace", "-1"}, {"-run", "("}, {"-at-once", "0"}, {"all"}, {"-unknown"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if err := run(t.Context(), []string{"-run", "no such row"}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "no row") {
		t.Errorf("error %v, want that no row is called so", err)
	}
}
