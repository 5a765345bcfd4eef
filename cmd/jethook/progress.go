package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// barWidth is how many characters a bar has.
	barWidth = 30
	// lineEvery is how often progress is told where nobody looks at a terminal.
	lineEvery = 5 * time.Second
)

// progress tells people how far something is and how long it will take: on a
// terminal as a bar that changes, and else as a line now and then.
type progress struct {
	w     io.Writer
	begun time.Time
	from  float64 // the part that was done when it was first shown
	told  time.Time
	last  string // what was shown, to be replaced
}

// show tells that a part of it is done, between 0 and 1, and what that is in words.
func (p *progress) show(part float64, what string, now time.Time) {
	if p.begun.IsZero() {
		p.begun, p.from = now, part
	}
	part = min(max(part, 0), 1)
	if left, known := p.left(part, now); known {
		what += ", " + left.Round(time.Second).String() + " to go"
	}
	if !isTerminal(p.w) {
		if now.Sub(p.told) >= lineEvery && what != p.last {
			p.told, p.last = now, what
			fmt.Fprintln(p.w, what)
		}
		return
	}
	full := int(part * barWidth)
	line := fmt.Sprintf("[%s%s] %3.0f%% %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*part, what)
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, len(p.last)-len(line))))
	p.last = line
}

// left estimates the time to the end from the pace since the beginning.
func (p *progress) left(part float64, now time.Time) (left time.Duration, known bool) {
	if part <= p.from || part >= 1 {
		return 0, false
	}
	return time.Duration(float64(now.Sub(p.begun)) / (part - p.from) * (1 - part)), true
}

// end leaves the line of a bar.
func (p *progress) end() {
	if p.last != "" && isTerminal(p.w) {
		fmt.Fprintln(p.w)
	}
	p.last = ""
}
