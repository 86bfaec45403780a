package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// diffFlags are the flags of a comparison besides the filters.
type diffFlags struct {
	filters
	baselineAgent            string
	baselineFrom, baselineTo string
	offset                   string
	normalize                string
	file                     string
	rows                     int

	baselineFirst, baselineFinal int64
}

func (a *app) diffCommand() *cobra.Command {
	f := diffFlags{filters: filters{defaultKind: "cpu"}}
	cmd := &cobra.Command{
		Use: "diff", Args: cobra.NoArgs,
		Short: "Compare two ranges of time, or two agents (POST /api/diff)",
		Long: `Compares the profiles that the filters select with a baseline. The baseline is the
range of --baseline-from and --baseline-to; or the same range --offset earlier; or, with
another --baseline-agent, the same range; or else the range of equal length just before.

P is the probability that chance alone makes such a difference: near 1 for noise, near 0
for a change.`,
		Example: `  aperturectl diff --since 15m
  aperturectl diff --since 1h --offset 7d --service shop --normalize share
  aperturectl diff --agent host-b --baseline-agent host-a --since 1h -o svg -f diff.svg`,
	}
	flags := cmd.Flags()
	f.register(flags)
	flags.StringVar(&f.baselineAgent, "baseline-agent", "", "`agent` of the baseline (default: that of --agent)")
	flags.StringVar(&f.baselineFrom, "baseline-from", "", "first `time` of the baseline, as --from")
	flags.StringVar(&f.baselineTo, "baseline-to", "", "last `time` of the baseline, as --to")
	flags.StringVar(&f.offset, "offset", "", "`duration` by which the baseline is earlier, such as 1h or 7d")
	flags.StringVar(&f.normalize, "normalize", "none", "what is compared: none, share or rate")
	flags.StringVarP(&f.file, "file", "f", "", "`file` to write to, not a format (default: standard output)")
	flags.StringVarP(&a.global.output, "output", "o", outputTable, "`format`, not a file (see --file): table, json as the server answered, or svg")
	flags.IntVar(&f.rows, "rows", 20, "`number` of rows in the table, 0 for all")
	cmd.RunE = a.runs(func(ctx context.Context, _ []string) error {
		if err := firstError(a.global.format(outputTable, outputJSON, outputSVG), checkRows(f.rows), f.parse(a.now())); err != nil {
			return err
		}
		if a.global.output == outputSVG {
			return a.download(ctx, request{method: http.MethodGet, path: "/api/export/svg", query: f.params()}, f.file, false)
		}
		text, _, err := a.fetch(ctx, request{method: http.MethodPost, path: "/api/diff", body: f.object()})
		if err != nil {
			return err
		}
		return a.toFile(f.file, false, func(w io.Writer) error { return a.writeDiff(w, text, f.kind, f.rows) })
	})
	return cmd
}

func (f *diffFlags) parse(now time.Time) error {
	if err := f.filters.parse(now); err != nil {
		return err
	}
	if f.kind == "" {
		return usagef("--type must name one kind")
	}
	switch f.normalize {
	case "none", "share", "rate":
	default:
		return usagef("--normalize must be none, share or rate, got %q", f.normalize)
	}
	given := f.baselineFrom != "" || f.baselineTo != ""
	switch {
	case given && f.offset != "":
		return usagef("--offset and --baseline-from exclude each other")
	case given:
		var err error
		f.baselineFirst, f.baselineFinal, err = parseRange(now, "", f.baselineFrom, f.baselineTo)
		return err
	case f.offset != "":
		d, err := parseDuration(f.offset)
		if err != nil || d <= 0 {
			return usagef("--offset must be a positive duration such as 1h or 7d, got %q", f.offset)
		}
		return f.earlier(now, d)
	case f.changed("baseline-agent"):
		f.baselineFirst, f.baselineFinal = f.firstNS, f.finalNS
		return nil
	}
	return f.earlier(now, 0)
}

// earlier sets the baseline to the same range earlier, 0 being its length.
func (f *diffFlags) earlier(now time.Time, d time.Duration) error {
	if f.firstNS == 0 {
		return usagef("give a range by --since or --from, or the baseline's by --baseline-from")
	}
	if f.finalNS == 0 {
		f.finalNS = now.UnixNano()
	}
	by := int64(d)
	if by == 0 {
		by = f.finalNS - f.firstNS + 1
	}
	if by >= f.firstNS {
		return usagef("the baseline would begin before 1970: take a shorter range")
	}
	f.baselineFirst, f.baselineFinal = f.firstNS-by, f.finalNS-by
	return nil
}

// baseline returns the agent of the baseline, nil for all.
func (f *diffFlags) baseline() *string {
	switch {
	case f.changed("baseline-agent"):
		return &f.baselineAgent
	case f.changed("agent"):
		return &f.agent
	}
	return nil
}

// object returns the body of POST /api/diff.
func (f *diffFlags) object() map[string]any {
	o := f.filters.object()
	for from, to := range map[string]string{
		"agent_id": "comparison_agent_id", "time_start_ns": "comparison_start_ns", "time_end_ns": "comparison_end_ns",
	} {
		if v, ok := o[from]; ok {
			delete(o, from)
			o[to] = v
		}
	}
	if agent := f.baseline(); agent != nil {
		o["baseline_agent_id"] = *agent
	}
	if f.baselineFirst != 0 {
		o["baseline_start_ns"] = f.baselineFirst
	}
	if f.baselineFinal != 0 {
		o["baseline_end_ns"] = f.baselineFinal
	}
	o["normalize"] = f.normalize
	o["frame_order"] = "leaf_first"
	return o
}

// params returns the parameters of GET /api/export/svg.
func (f *diffFlags) params() url.Values {
	v := f.filters.params()
	if agent := f.baseline(); agent != nil {
		v.Set("baseline_agent_id", *agent)
	}
	if f.baselineFirst != 0 {
		v.Set("baseline_start_ns", strconv.FormatInt(f.baselineFirst, 10))
	}
	if f.baselineFinal != 0 {
		v.Set("baseline_end_ns", strconv.FormatInt(f.baselineFinal, 10))
	}
	v.Set("normalize", f.normalize)
	return v
}

// The result_json of POST /api/diff.
type diffAnswer struct {
	BaselineTotal   uint64    `json:"baseline_total"`
	ComparisonTotal uint64    `json:"comparison_total"`
	Stacks          []diffRow `json:"stacks"`
	Contentions     []diffRow `json:"contentions"`
	Syscalls        []diffRow `json:"syscalls"`
	Truncated       bool      `json:"truncated"`
}

type diffRow struct {
	Stack           stack    `json:"stack"`
	LockAddr        uint64   `json:"lock_addr"`
	SyscallID       uint64   `json:"syscall_id"`
	Name            string   `json:"name"`
	BaselineCount   uint64   `json:"baseline_count"`
	ComparisonCount uint64   `json:"comparison_count"`
	BaselineShare   float64  `json:"baseline_share"`
	ComparisonShare float64  `json:"comparison_share"`
	DeltaPercent    float64  `json:"delta_pct"`
	PValue          *float64 `json:"p_value"`
	Status          string   `json:"status"`
}

func (r *diffRow) text() string {
	switch {
	case r.Name != "":
		return r.Name + " (" + uintText(r.SyscallID) + ")"
	case r.LockAddr != 0:
		return "[0x" + strconv.FormatUint(r.LockAddr, 16) + "] " + r.Stack.text()
	}
	return r.Stack.text()
}

func (a *app) writeDiff(w io.Writer, text []byte, kind string, rows int) error {
	if a.global.output == outputJSON {
		_, err := w.Write(append(text, '\n'))
		return err
	}
	var outer struct {
		ResultJSON string `json:"result_json"`
		Error      string `json:"error"`
	}
	if err := a.decode(text, &outer); err != nil {
		return err
	}
	if outer.Error != "" {
		return failf("%s", outer.Error)
	}
	var d diffAnswer
	if err := json.Unmarshal([]byte(outer.ResultJSON), &d); err != nil {
		return a.decode([]byte(outer.ResultJSON), &d)
	}
	if d.BaselineTotal == 0 && d.ComparisonTotal == 0 {
		return failf("there is no %s profile in either range: check the filters, or take longer ranges", kind)
	}
	t := newTable(w, "SHARE", "BASELINE_SHARE", "CHANGE", "COUNT", "BASELINE_COUNT", "P", "STATUS", "STACK")
	t.row("100.00%", "100.00%", "", uintText(d.ComparisonTotal), uintText(d.BaselineTotal), "", "", "(everything)")
	all := append(append(d.Stacks, d.Contentions...), d.Syscalls...)
	if rows == 0 {
		rows = len(all)
	}
	for i := range all[:min(rows, len(all))] {
		r := &all[i]
		p := ""
		if r.PValue != nil {
			p = strconv.FormatFloat(*r.PValue, 'g', 3, 64)
		}
		change := fmt.Sprintf("%+.1f%%", r.DeltaPercent)
		if r.Status == "new" || r.Status == "gone" {
			change = ""
		}
		t.row(percentText(r.ComparisonShare), percentText(r.BaselineShare), change,
			uintText(r.ComparisonCount), uintText(r.BaselineCount), p, r.Status, r.text())
	}
	if err := t.flush(); err != nil {
		return err
	}
	if d.Truncated {
		fmt.Fprintln(a.err, "rows that changed less are left out: raise --limit to have more")
	}
	return nil
}
