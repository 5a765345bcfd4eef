package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/jethook/jethook/internal/torture/disk"
)

// recovery bounds how long a bridge may need to be well again by itself.
const recovery = 30 * time.Second

// fullRow fills the disk while events come, and makes room again. Where the
// bridge says that it must be started again it is.
func fullRow() row {
	const room = 256 << 10 // some seconds' events
	var d *disk.Disk
	return row{
		name: "disk full",
		prepare: func(_ context.Context, t *trial) (err error) {
			d, err = t.mount("power")
			return err
		},
		strike: func(ctx context.Context, t *trial) error {
			d.SetCapacity(d.Used() + t.random.Int64N(room))
			wrong, err := t.refuses(ctx)
			if err != nil {
				return err
			}
			t.say("full: %s", wrong)
			if err := pause(ctx, t.before()); err != nil {
				return err
			}
			d.SetCapacity(diskSize)
			return t.recovers(ctx)
		},
	}
}

// failingRow has flushes fail for a while. The bridge must refuse until it is
// started again, for the kernel forgets what it could not write.
func failingRow(name string, cut bool) row {
	var d *disk.Disk
	return row{
		name: name,
		prepare: func(_ context.Context, t *trial) (err error) {
			d, err = t.mount("power")
			return err
		},
		strike: func(ctx context.Context, t *trial) error {
			d.SetFlushError(syscall.EIO)
			wrong, err := t.refuses(ctx)
			d.SetFlushError(nil)
			if err != nil {
				return err
			}
			t.say("failing: %s", wrong)
			acknowledged := t.ledger.count().acknowledged
			if err := pause(ctx, t.before()); err != nil {
				return err
			}
			now := t.ledger.count().acknowledged
			if wrong, err = t.bridges[0].readiness(ctx); err != nil || wrong == "" || now > acknowledged {
				return fmt.Errorf("%d events were acknowledged after a flush had failed, and readiness says %q (%w); want none, and that it fails until the next start",
					now-acknowledged, wrong, err)
			}
			if err := t.again(ctx); err != nil || !cut {
				return err
			}
			// What the kernel forgot is still to be read: were it taken for
			// stored when it comes again, it would be lost now.
			if err := pause(ctx, t.before()); err != nil {
				return err
			}
			return t.cutPower(ctx, d, disk.LoseAll)
		},
	}
}

// refuses waits until events are answered 503 and readiness says what is wrong.
func (t *trial) refuses(ctx context.Context) (wrong string, err error) {
	before := t.load.refused.Load()
	return wrong, await(ctx, "refuse events and fail readiness", func(ctx context.Context) (err error) {
		if wrong, err = t.bridges[0].readiness(ctx); err != nil {
			return err
		}
		if wrong = strings.TrimSpace(strings.TrimSuffix(wrong, "not ready")); wrong == "" || t.load.refused.Load() == before {
			return fmt.Errorf("%d refused, readiness says %q", t.load.refused.Load()-before, wrong)
		}
		return nil
	})
}

// recovers waits until the bridge is ready, and starts it again where it says
// that only this helps.
func (t *trial) recovers(ctx context.Context) error {
	for begun := time.Now(); ; {
		wrong, err := t.bridges[0].readiness(ctx)
		switch {
		case err != nil:
			return err
		case wrong == "":
			return nil
		case strings.Contains(wrong, "start") && strings.Contains(wrong, "again"):
			t.say("started again, since readiness says: %s", wrong)
			return t.again(ctx)
		case time.Since(begun) > recovery:
			t.ledger.fault("not ready within %s after there was room again, without a word of what to do: %s", recovery, wrong)
			return t.again(ctx)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// again ends the bridge and starts it.
func (t *trial) again(ctx context.Context) error {
	if err := t.bridges[0].terminate(ctx); err != nil {
		return err
	}
	return t.bridges[0].start(ctx)
}
