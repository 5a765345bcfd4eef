package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is a line of the table, and why it is not as it must be.
type result struct {
	What         string   `json:"what"`
	Rounds       int      `json:"rounds"`
	Acknowledged int      `json:"acknowledged"`
	Delivered    int      `json:"delivered"`
	Duplicates   int      `json:"duplicates"`
	Lost         int      `json:"lost"`
	Resumed      *resumed `json:"resumed,omitempty"`
	Wrong        []string `json:"wrong,omitempty"` // empty: as it must be
	Log          string   `json:"log,omitempty"`   // of what ran, where something is wrong
}

// resumed is how long the worst break was felt, in seconds.
type resumed struct {
	Acknowledging float64 `json:"acknowledging"` // the longest time without a 2xx
	Delivering    float64 `json:"delivering"`    // the longest time without a delivery
}

// shownLosses are named; the others are counted.
const shownLosses = 5

func (t *trial) result(err error) result {
	c, lost := t.ledger.count(), t.ledger.lost()
	r := result{
		What: t.row.name, Rounds: t.rounds,
		Acknowledged: c.acknowledged, Delivered: c.delivered, Duplicates: c.duplicates, Lost: len(lost),
	}
	if t.row.resumes {
		r.Resumed = &t.felt
	}
	if err != nil {
		r.Wrong = append(r.Wrong, err.Error())
	}
	if err == nil && t.row.check != nil {
		if err := t.row.check(t); err != nil {
			r.Wrong = append(r.Wrong, err.Error())
		}
	}
	t.ledger.mu.Lock()
	r.Wrong = append(r.Wrong, t.ledger.faults...)
	t.ledger.mu.Unlock()
	switch {
	case c.acknowledged == 0:
		r.Wrong = append(r.Wrong, "nothing was acknowledged")
	case t.row.control && len(lost) == 0:
		r.Wrong = append(r.Wrong, "the control lost nothing: this test cannot fail")
	case !t.row.control:
		r.Wrong = append(r.Wrong, describe(lost)...)
	}
	if len(r.Wrong) > 0 {
		r.Log = t.log.file.Name()
	}
	return r
}

// describe counts losses by their kind and names the first of each.
func describe(lost []loss) []string {
	kinds := map[string][]string{}
	for _, l := range lost {
		kinds[l.how] = append(kinds[l.how], l.id)
	}
	var sentences []string
	for how, ids := range kinds {
		slices.Sort(ids)
		sentences = append(sentences, fmt.Sprintf("%d lost: %s: %s", len(ids), how, strings.Join(ids[:min(len(ids), shownLosses)], " ")))
	}
	slices.Sort(sentences)
	return sentences
}

func writeJSON(w io.Writer, results []result) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(results)
}

// writeTable writes the results for people.
func writeTable(w io.Writer, results []result) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "what\trounds\tacknowledged\tdelivered\tduplicates\tlost\tresumed")
	for _, r := range results {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%s\n", r.What, r.Rounds, r.Acknowledged, r.Delivered, r.Duplicates, r.Lost, r.Resumed)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, sentence := range r.Wrong {
			fmt.Fprintf(w, "\n%s: %s", r.What, sentence)
		}
		if r.Log != "" {
			fmt.Fprintf(w, "\n%s: the log is %s\n", r.What, r.Log)
		}
	}
	return nil
}

func (r *resumed) String() string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("2xx after %.1f s, delivery after %.1f s", r.Acknowledging, r.Delivering)
}

// feel keeps the worst.
func (r *resumed) feel(acknowledging, delivering time.Duration) {
	r.Acknowledging = max(r.Acknowledging, acknowledging.Seconds())
	r.Delivering = max(r.Delivering, delivering.Seconds())
}
