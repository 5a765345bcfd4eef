package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// writeTable writes rows under their heads. What strangers have named is made
// harmless to terminals.
func writeTable(w io.Writer, heads []string, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(heads, "\t"))
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(harmless(row), "\t"))
	}
	return table.Flush()
}

// writeFields writes names and values, one pair a line, without those that are
// empty.
func writeFields(w io.Writer, pairs ...string) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintln(table, strings.Join(harmless(pairs[i:i+2]), "\t"))
		}
	}
	return table.Flush()
}

// harmless replaces control characters, by which a text could command a terminal,
// and empty cells.
func harmless(cells []string) []string {
	shown := make([]string, len(cells))
	for i, cell := range cells {
		shown[i] = orDash(strings.Map(printable, cell))
	}
	return shown
}

// harmlessLines is harmless for a text of several lines.
func harmlessLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return printable(r)
	}, text)
}

func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '·'
	}
	return r
}

// moment is a time as --since takes it; empty for the zero time.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format(time.RFC3339)
}

// number is n; empty for zero.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// quantity is a number of things whose name takes an s.
func quantity[N int | uint64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// noteMore tells people, who see one page, how to get the next.
func noteMore(stderr io.Writer, more bool, offset, shown int) {
	if more {
		fmt.Fprintf(stderr, "there are more: --offset %d\n", offset+shown)
	}
}
