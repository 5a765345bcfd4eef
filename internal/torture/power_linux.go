package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jethook/jethook/internal/torture/disk"
)

// diskSize is room for all that a row stores.
const diskSize = 1 << 30

// diskRows cut the power of the disk, slow it down, fill it and have it fail.
func diskRows() []row {
	control := powerRow("power cut: all lost, durability process (control)", disk.LoseAll, "process")
	control.control = true
	rows := []row{control}
	for _, loss := range []disk.Loss{disk.LoseAll, disk.LoseSome, disk.LoseContents, disk.LoseRenamed} {
		rows = append(rows, powerRow(fmt.Sprintf("power cut: %s lost", loss), loss, "power"))
	}
	return append(rows,
		slowRow(5*time.Millisecond),
		slowRow(200*time.Millisecond),
		fullRow(),
		failingRow("disk fails", false),
		failingRow("disk fails, then a power cut", true),
	)
}

// mount gives the bridge a disk of its own.
func (t *trial) mount(durability string) (*disk.Disk, error) {
	dir := filepath.Join(t.dir, "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	// A process that is started meanwhile must not inherit the disk.
	t.starting.Lock()
	defer t.starting.Unlock()
	d, err := disk.Mount(dir, diskSize)
	if err != nil {
		return nil, err
	}
	t.cleanup = append(t.cleanup, func() {
		if err := d.Close(); err != nil {
			t.say("%v", err)
		}
	})
	t.bus = options{
		"embedded": options{"store_dir": t.store(), "durability": durability},
		"stream":   options{"max_bytes": "512MiB"},
	}
	return d, nil
}

// cutPower ends the bridge and the disk at once, and starts it with what is
// left.
func (t *trial) cutPower(ctx context.Context, d *disk.Disk, loss disk.Loss) error {
	t.bridges[0].kill()
	t.starting.Lock()
	err := d.Cut(loss, t.random)
	t.starting.Unlock()
	if err != nil {
		return err
	}
	if err := t.boot(); err != nil {
		return err
	}
	return t.bridges[0].start(ctx)
}

// boot has what the bridge wrote be of an earlier boot than this one: it may
// believe more of what it finds where the kernel has gone on.
func (t *trial) boot() error {
	const anotherBoot = "00000000-0000-4000-8000-000000000000"
	this, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(t.store(), "cursors.json"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(bytes.ReplaceAll(text, bytes.TrimSpace(this), []byte(anotherBoot)), 0); err != nil {
		return err
	}
	return file.Sync()
}

func (t *trial) store() string { return filepath.Join(t.dir, "disk", "store") }

// powerRow has each event retried once, so that all kinds of streams are
// written to.
func powerRow(name string, loss disk.Loss, durability string) row {
	var d *disk.Disk
	return row{
		name: name, share: 0.5,
		prepare: func(_ context.Context, t *trial) (err error) {
			t.receiver.refusals.Store(1)
			d, err = t.mount(durability)
			return err
		},
		strike: func(ctx context.Context, t *trial) error {
			if err := await(ctx, "there is something to lose", t.acknowledged); err != nil {
				return err
			}
			return t.cutPower(ctx, d, loss)
		},
	}
}

// slowRow cuts the power of a disk that takes long to flush.
func slowRow(flush time.Duration) row {
	var d *disk.Disk
	return row{
		name: fmt.Sprintf("power cut: %s a flush", flush),
		prepare: func(_ context.Context, t *trial) (err error) {
			if d, err = t.mount("power"); err == nil {
				d.SetFlushDelay(flush)
			}
			return err
		},
		strike: func(ctx context.Context, t *trial) error {
			before, begun := t.ledger.count().acknowledged, time.Now()
			if err := pause(ctx, t.before()); err != nil {
				return err
			}
			stored := t.ledger.count().acknowledged - before
			t.say("%.0f acknowledged a second of %.0f", float64(stored)/time.Since(begun).Seconds(), t.pace)
			return t.cutPower(ctx, d, disk.LoseAll)
		},
	}
}
