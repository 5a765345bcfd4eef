package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

// exportPage is how many events are asked for at a time.
const exportPage = 1000

// cloudEvent is an event in the structured mode of CloudEvents 1.0, with its body
// byte for byte, over which its provider's signature was made.
type cloudEvent struct {
	api.CloudEvent
	Sequence string `json:"sequence"` // in the stream
}

func structured(e *api.ReadEvent) cloudEvent {
	return cloudEvent{api.CloudEvent{SpecVersion: "1.0", ID: e.ID, Source: "/" + e.Env + "/" + e.Source, Type: e.Type, Time: e.Time.UTC(),
		DataContentType: e.ContentType, Traceparent: e.Traceparent, Data: e.Body}, strconv.FormatUint(e.Sequence, 10)}
}

// exporter writes what is stored to a file.
type exporter struct {
	client *api.Client
	query  api.ReadQuery // After is where it is
	count  int
	bar    progress
}

// toFile writes the events that a replay selects to a file, or for - to stdout. after
// is the sequence that an earlier one ended with.
func toFile(ctx context.Context, client *api.Client, cmd *cobra.Command, spec *api.ReplaySpec, path string, after uint64) (err error) {
	x := &exporter{client: client, bar: progress{w: cmd.ErrOrStderr()}, query: api.ReadQuery{
		Events: spec.Events, Since: spec.Since, Until: spec.Until, Where: spec.Where, After: after, Limit: exportPage, Bodies: true}}
	if ago, wrong := time.ParseDuration(spec.Until); wrong == nil { // the same time for all pages
		x.query.Until = time.Now().Add(-ago).Format(time.RFC3339Nano)
	}
	// What comes meanwhile is not waited for.
	if x.query.Through, err = lastSequence(ctx, client); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if path != "-" {
		file, err := openExport(path, after > 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Sync(), file.Close()) }()
		out = file
	}
	err = x.run(ctx, out)
	x.bar.end()
	fmt.Fprintf(cmd.ErrOrStderr(), "%s written, up to sequence %d; to go on from there: --after %d\n", quantity(x.count, "event"), x.query.After, x.query.After)
	return err
}

// openExport makes a file that is not there, or goes on with one.
func openExport(path string, goesOn bool) (*os.File, error) {
	if goesOn {
		return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	}
	return createFile(path, 0o600, "go on with it by --after SEQUENCE")
}

func (x *exporter) run(ctx context.Context, out io.Writer) error {
	lines := bufio.NewWriter(out)
	first := x.query.After
	for x.query.After < x.query.Through {
		page, err := x.client.Read(ctx, x.query)
		if err != nil {
			return err
		}
		for i := range page.Data {
			if err := writeJSON(lines, structured(&page.Data[i])); err != nil {
				return err
			}
		}
		if err := lines.Flush(); err != nil { // so that after names what is written
			return err
		}
		if len(page.Data) > 0 && first == 0 {
			first = page.Data[0].Sequence - 1 // what was stored before is none of it
		}
		x.count += len(page.Data)
		x.query.After, x.query.Since = page.Next, ""
		x.bar.show(float64(page.Next-min(page.Next, first))/float64(max(1, x.query.Through-min(x.query.Through, first))), quantity(x.count, "event"), time.Now())
		if page.Complete {
			return nil
		}
	}
	return nil
}
