package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

func (r *report) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// writeTable writes the report for people.
func (r *report) writeTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "%s, %d CPUs, %s; medians of %d rounds of %g s, %d connections, %d bytes, %d events delivered\n\n",
		r.Go, r.CPUs, r.FileSystem, r.Rounds, r.Seconds, r.Connections, r.Size, r.Events)
	fmt.Fprintln(table, "what\t/s\tp50\tp99\tCPU\tratio\ttarget")
	for _, s := range r.Speeds {
		fmt.Fprintf(table, "%s\t%.0f\t%s\t%s\t%s\t%s\n", s.What, s.PerSecond, latency(s.P50), latency(s.P99), processor(s.Processor), s.cells())
	}
	fmt.Fprintln(table)
	fmt.Fprintln(table, "what\tvalue\ttarget")
	for _, f := range r.Figures {
		target := ""
		if f.AtMost > 0 {
			target = fmt.Sprintf("≤ %.0f %s", f.AtMost, f.Unit)
		}
		fmt.Fprintf(table, "%s\t%.0f %s\t%s\n", f.What, f.Value, f.Unit, target)
	}
	if r.Static != nil {
		static := "no"
		if *r.Static {
			static = "yes"
		}
		fmt.Fprintf(table, "static\t%s\tyes\n", static)
	}
	if len(r.Missed) > 0 {
		fmt.Fprintln(table)
	}
	for _, sentence := range r.Missed {
		fmt.Fprintf(table, "missed: %s\n", sentence)
	}
	return table.Flush()
}

// latency is blank where none was measured.
func latency(ms float64) string {
	if ms == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// processor is blank where it was not measured.
func processor(us float64) string {
	if us == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f µs", us)
}

// cells are the ratio and the target.
func (s *speed) cells() string {
	target := ""
	if s.AtLeast > 0 {
		target = fmt.Sprintf("≥ %.0f /s", s.AtLeast)
	}
	r := s.Ratio
	if r == nil {
		return "\t" + target
	}
	if r.AtLeast > 0 {
		target = fmt.Sprintf("≥ %g", r.AtLeast)
	}
	return fmt.Sprintf("%s %.2f (%.2f–%.2f)\t%s", r.Of, r.Median, r.Min, r.Max, target)
}
