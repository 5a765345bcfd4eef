package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Rows of the table. Ratios name them by their letters.
const (
	rowHTTP     = "a  net/http and HMAC-SHA256"
	rowStream   = "b  a and a JetStream publish"
	rowProcess  = "c  jethook, durability: process"
	rowPower    = "d  jethook, durability: power"
	rowAlways   = "e  b with sync_always"
	rowLoop     = "f  fetch, POST, ack"
	rowDressed  = "g  f, signed, with every header"
	rowEndpoint = "h  jethook, one endpoint"
	rowHundreds = "i  jethook, 200 endpoints with five patterns each, in turn"
	rowSingle   = "q  jethook, 200 endpoints with one pattern each, in turn"
	rowThousand = "j  jethook, 1000 endpoints with one pattern each, in turn"
	rowShort    = "k  jethook, one endpoint, a short backlog"
	rowLong     = "l  jethook, one endpoint, a long backlog"
	rowFirst    = "o  jethook, a new endpoint beside live traffic"
	rowAgain    = "p  jethook, a replay beside live traffic"

	rowStill = "m  jethook, durability: power, with the API"
	rowChurn = "n  m, while 1000 endpoints come and go"
)

// report is all that was measured.
type report struct {
	Go          string   `json:"go"`
	CPUs        int      `json:"cpus"`
	FileSystem  string   `json:"file_system"`
	Rounds      int      `json:"rounds"`
	Seconds     float64  `json:"seconds"`
	Connections int      `json:"connections"`
	Size        int      `json:"size"`
	Events      int      `json:"events"`
	Speeds      []speed  `json:"speeds"`
	Figures     []figure `json:"figures"`
	Static      *bool    `json:"static_binary,omitempty"`
	Missed      []string `json:"missed"` // targets, one sentence each
}

// speed is a row: medians over the rounds.
type speed struct {
	What      string  `json:"what"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms,omitempty"`
	P99       float64 `json:"p99_ms,omitempty"`
	Processor float64 `json:"processor_us,omitempty"` // an event
	Ratio     *ratio  `json:"ratio,omitempty"`
	AtLeast   float64 `json:"at_least,omitempty"` // the target a second; 0: none, or that of the ratio
}

// ratio is the median of the rounds' ratios, and their range.
type ratio struct {
	Of      string  `json:"of"` // such as c/b
	Median  float64 `json:"median"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	AtLeast float64 `json:"at_least,omitempty"` // the target; 0: none
}

// figure is the median of the rounds' values.
type figure struct {
	What   string  `json:"what"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	AtMost float64 `json:"at_most,omitempty"` // the target; 0: none
}

func newReport(s settings) *report {
	return &report{
		Go: runtime.Version(), CPUs: runtime.NumCPU(),
		Rounds: s.rounds, Seconds: s.seconds, Connections: s.connections, Size: s.size, Events: s.events,
		Missed: []string{},
	}
}

func (r *report) addReceiving(paces map[string][]pace) {
	perSecond := perSecond(paces)
	add := func(row string, ratio *ratio) { r.addPace(row, paces[row], ratio) }
	add(rowHTTP, nil)
	add(rowStream, newRatio(perSecond, rowStream, rowHTTP, 0))
	add(rowProcess, newRatio(perSecond, rowProcess, rowStream, 0.9))
	add(rowPower, newRatio(perSecond, rowPower, rowProcess, 0.75))
	add(rowAlways, newRatio(perSecond, rowPower, rowAlways, 4))
}

func (r *report) addChurn(paces map[string][]pace) {
	r.addPace(rowStill, paces[rowStill], nil)
	r.addPace(rowChurn, paces[rowChurn], newRatio(perSecond(paces), rowChurn, rowStill, 0.95))
}

func (r *report) addPace(row string, rounds []pace, ratio *ratio) {
	r.addSpeed(speed{
		What:      row,
		PerSecond: median(column(rounds, func(p pace) float64 { return p.perSecond })),
		P50:       median(column(rounds, func(p pace) float64 { return milliseconds(p.p50) })),
		P99:       median(column(rounds, func(p pace) float64 { return milliseconds(p.p99) })),
		Ratio:     ratio,
	})
}

func perSecond(paces map[string][]pace) map[string][]float64 {
	values := map[string][]float64{}
	for row, of := range paces {
		values[row] = column(of, func(p pace) float64 { return p.perSecond })
	}
	return values
}

func (r *report) addDelivering(d deliveries) {
	r.addDelivery(d, rowLoop, nil, 0)
	r.addDelivery(d, rowDressed, newRatio(d.rates, rowEndpoint, rowDressed, 0), 0)
	r.addDelivery(d, rowEndpoint, newRatio(d.rates, rowEndpoint, rowLoop, 0.9), 0)
	r.addDelivery(d, rowHundreds, newRatio(d.rates, rowHundreds, rowEndpoint, 0.7), 0)
	r.addDelivery(d, rowSingle, newRatio(d.rates, rowSingle, rowEndpoint, 0), 0)
	r.addDelivery(d, rowThousand, newRatio(d.rates, rowThousand, rowEndpoint, 0), 10000)
}

func (r *report) addBacklog(d deliveries) {
	r.addDelivery(d, rowShort, nil, 0)
	r.addDelivery(d, rowLong, newRatio(d.rates, rowLong, rowShort, 0.8), 0)
}

func (r *report) addReplays(of replays) {
	r.addSpeed(speed{What: rowFirst, PerSecond: median(of.rates[rowFirst])})
	r.addSpeed(speed{What: rowAgain, PerSecond: median(of.rates[rowAgain]), Ratio: newRatio(of.rates, rowAgain, rowFirst, 0.8)})
	r.addFigure("p99 of live deliveries", median(of.alone), "ms", 0)
	r.addFigure("the same beside a replay, of that", median(of.slow), "%", 110)
}

func (r *report) addDelivery(d deliveries, row string, ratio *ratio, atLeast float64) {
	r.addSpeed(speed{What: row, PerSecond: median(d.rates[row]), Processor: median(d.times[row]), Ratio: ratio, AtLeast: atLeast})
}

func (r *report) addBeside(measured beside) {
	r.addFigure(fmt.Sprintf("p99 of deliveries to %d endpoints", neighbours), median(measured[troubleNone]), "ms", 0)
	for _, trouble := range []string{troubleHang, troubleFail} {
		what := map[string]string{troubleHang: "beside one that hangs", troubleFail: "beside one that fails"}[trouble]
		rounds := make([]float64, len(measured[trouble]))
		for i := range rounds {
			rounds[i] = 100 * measured[trouble][i] / measured[troubleNone][i]
		}
		r.addFigure(fmt.Sprintf("the same for %d, %s, of that", neighbours-1, what), median(rounds), "%", 110)
	}
}

func (r *report) addFootprint(f footprint) {
	r.addFigure("memory when idle", median(f.memory), "MB", 60)
	r.addFigure("start to ready", median(f.start), "ms", 200)
	r.addFigure("binary", f.binary, "MB", 0)
	if r.Static = &f.static; !f.static {
		r.Missed = append(r.Missed, "the binary is not static")
	}
}

func (r *report) addQuiet(q quiet) {
	with := fmt.Sprintf(" with %d quiet endpoints", q.endpoints)
	r.addFigure("memory"+with, median(q.memory), "MB", 600)
	r.addFigure("start to ready"+with, median(q.start), "ms", 15000)
	r.addFigure("SIGTERM to exit"+with, median(q.stop), "ms", 5000)
	r.addFigure(fmt.Sprintf("p99 of receiving%s, of that with %d", with, fewEndpoints), median(q.slow), "%", 150)
}

func (r *report) addWaiting(w waiting) {
	with := fmt.Sprintf(" with %d waiting retries", w.retries)
	r.addFigure("memory"+with, median(w.memory), "MB", 500)
	r.addFigure("start to ready"+with, median(w.start), "ms", 10000)
	r.addFigure("p99 of deliveries"+with+", of that with none", median(w.slow), "%", 120)
	r.addFigure(fmt.Sprintf("latest of %d retries that fall due", waiters*dueEvents), median(w.late), "ms", 1000)
}

func (r *report) addFigure(what string, value float64, unit string, atMost float64) {
	r.Figures = append(r.Figures, figure{what, value, unit, atMost})
	if atMost > 0 && value > atMost {
		r.Missed = append(r.Missed, fmt.Sprintf("%s is %.0f %s, the target is at most %.0f", what, value, unit, atMost))
	}
}

func (r *report) addSpeed(s speed) {
	r.Speeds = append(r.Speeds, s)
	if s.PerSecond < s.AtLeast {
		r.Missed = append(r.Missed, fmt.Sprintf("%s is %.0f a second, the target is at least %.0f", s.What[:1], s.PerSecond, s.AtLeast))
	}
	if s.Ratio != nil && s.Ratio.Median < s.Ratio.AtLeast {
		r.Missed = append(r.Missed, fmt.Sprintf("%s is %.2f, the target is at least %g", s.Ratio.Of, s.Ratio.Median, s.Ratio.AtLeast))
	}
}

// newRatio divides round by round: what slowed a whole round cancels out.
func newRatio(values map[string][]float64, of, by string, atLeast float64) *ratio {
	rounds := make([]float64, len(values[of]))
	for i := range rounds {
		rounds[i] = values[of][i] / values[by][i]
	}
	return &ratio{Of: of[:1] + "/" + by[:1], Median: median(rounds), Min: slices.Min(rounds), Max: slices.Max(rounds), AtLeast: atLeast}
}

func column(paces []pace, of func(pace) float64) []float64 {
	values := make([]float64, len(paces))
	for i, p := range paces {
		values[i] = of(p)
	}
	return values
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
