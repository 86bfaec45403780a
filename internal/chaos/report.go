package chaos

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// line describes a cycle on one line, and what is wrong on further ones.
func (r *Result) line(cycles int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cycle %d/%d %s", r.Cycle, cycles, r.Fault)
	switch {
	case r.Skipped != "":
		fmt.Fprintf(&b, " skipped: %s", r.Skipped)
		return b.String()
	case r.Failed():
		b.WriteString(" FAILED")
	default:
		b.WriteString(" exact")
	}
	c := &r.Counts
	fmt.Fprintf(&b, " (%s): %d acknowledged, %d unanswered of which %d stored, %d refused; %.1f s, check %.1f s",
		r.note, c.Acknowledged, c.Unanswered, c.Found, c.Refused, r.Took.Seconds(), r.check.Seconds())
	if r.Err != nil {
		fmt.Fprintf(&b, "\n  error: %v", r.Err)
	}
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "\n  %s", d)
	}
	if r.Kept != "" {
		fmt.Fprintf(&b, "\n  data and logs: %s", r.Kept)
	}
	return b.String()
}

// Report writes a table of all results by fault and returns how many failed.
func Report(w io.Writer, results []Result) (failed int) {
	byFault := make(map[Fault][]Result)
	for _, r := range results {
		byFault[r.Fault] = append(byFault[r.Fault], r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "fault\tcycles\texact\tfailed\tskipped\tacknowledged\tunanswered\tstored of them\trefused\tmedian s\t")
	row := func(name string, results []Result) int {
		var counts Counts
		var failed, skipped int
		var took []time.Duration
		for i := range results {
			r := &results[i]
			counts.add(r.Counts)
			took = append(took, r.Took)
			switch {
			case r.Skipped != "":
				skipped++
			case r.Failed():
				failed++
			}
		}
		slices.Sort(took)
		n := len(results)
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t\n", name, n, n-failed-skipped, failed, skipped,
			counts.Acknowledged, counts.Unanswered, counts.Found, counts.Refused, took[n/2].Seconds())
		return failed
	}
	for _, f := range Faults {
		if of := byFault[f]; len(of) > 0 {
			row(string(f), of)
		}
	}
	if len(results) > 0 {
		failed = row("all", results)
	}
	_ = t.Flush()
	return failed
}
