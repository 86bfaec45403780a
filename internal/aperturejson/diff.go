package aperturejson

import (
	"io"
	"math"
	"strconv"

	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// WriteDiff writes the result_json of POST /api/diff and of the Diff RPC to out:
// at most maxRows rows of d, frames in this order. The keys of the Aperture API
// come first, those that only we have after them. It stops at the first error of
// out and returns it.
func WriteDiff(out io.Writer, d *diff.Result, maxRows int, order FrameOrder) error {
	w := diffWriter{result: result{w: newWriter(out, false), o: Options{Order: order}}, d: d, rows: d.Rows}
	w.truncated = d.Truncated || len(w.rows) > maxRows
	w.rows = w.rows[:min(len(w.rows), maxRows)]
	w.write()
	w.w.flush()
	return w.w.err
}

type diffWriter struct {
	result
	d         *diff.Result
	rows      []diff.Row
	truncated bool
}

func (w *diffWriter) write() {
	d := w.d
	w.w.open('{')
	w.w.keyUint("baseline_total", d.Baseline.Count)
	w.w.keyUint("comparison_total", d.Comparison.Count)
	switch d.Kind {
	case profile.KindCPU:
		w.array("stacks", w.cpu)
	case profile.KindLock:
		w.array("contentions", w.lock)
		w.w.keyPositive("baseline_wait_ns", d.Baseline.Values[0])
		w.w.keyPositive("comparison_wait_ns", d.Comparison.Values[0])
	case profile.KindSyscall:
		w.array("syscalls", w.syscall)
		w.w.keyPositive("baseline_total_ns", d.Baseline.Values[0])
		w.w.keyPositive("comparison_total_ns", d.Comparison.Values[0])
	default:
		w.array("stacks", w.other)
		w.types(d.Types)
		w.values("baseline_totals", &d.Baseline.Values)
		w.values("comparison_totals", &d.Comparison.Values)
	}
	w.w.keyInt("baseline_duration_ns", int64(d.Baseline.Duration))
	w.w.keyInt("comparison_duration_ns", int64(d.Comparison.Duration))
	w.text("normalize", d.Normalize.String())
	w.w.key("truncated")
	w.w.bool(w.truncated)
	w.w.close('}')
}

func (w *diffWriter) array(key string, write func(*diff.Row)) {
	w.w.key(key)
	w.w.open('[')
	for i := range w.rows {
		if w.w.err != nil {
			break
		}
		w.w.open('{')
		write(&w.rows[i])
		w.change(&w.rows[i])
		w.w.close('}')
	}
	w.w.close(']')
}

func (w *diffWriter) cpu(r *diff.Row) {
	w.frames(r.Frames)
	w.counts(r)
	w.w.keyInt("delta", r.Delta)
	w.w.keyFloat("delta_pct", r.DeltaPercent)
}

func (w *diffWriter) lock(r *diff.Row) {
	w.w.keyUint("lock_addr", r.Number)
	w.frames(r.Frames)
	w.counts(r)
	w.w.keyInt("delta_wait_ns", r.Delta)
	w.w.keyPositive("baseline_wait_ns", r.Baseline.Values[0])
	w.w.keyPositive("comparison_wait_ns", r.Comparison.Values[0])
	w.w.keyFloat("delta_pct", r.DeltaPercent)
}

func (w *diffWriter) syscall(r *diff.Row) {
	w.w.keyInt("syscall_id", int64(r.Number))
	w.text("name", SyscallName(&profilestore.SyscallStats{Number: int64(r.Number), Name: r.Name}))
	w.counts(r)
	w.w.keyInt("delta_count", r.Delta)
	baseline, comparison := average(&r.Baseline), average(&r.Comparison)
	w.w.keyFloat("baseline_avg_ns", baseline)
	w.w.keyFloat("comparison_avg_ns", comparison)
	w.w.keyFloat("delta_avg_ns", comparison-baseline)
	w.w.keyFloat("delta_pct", r.DeltaPercent)
}

// other is for the kinds that the Aperture API does not have: counts as for cpu,
// and every value.
func (w *diffWriter) other(r *diff.Row) {
	w.frames(r.Frames)
	w.counts(r)
	w.w.keyInt("delta", profile.Sub(limited(r.Comparison.Count), limited(r.Baseline.Count)))
	w.w.keyFloat("delta_pct", r.DeltaPercent)
	w.values("baseline_values", &r.Baseline.Values)
	w.values("comparison_values", &r.Comparison.Values)
}

func limited(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func (w *diffWriter) counts(r *diff.Row) {
	w.w.keyUint("baseline_count", r.Baseline.Count)
	w.w.keyUint("comparison_count", r.Comparison.Count)
}

func (w *diffWriter) change(r *diff.Row) {
	w.w.keyFloat("baseline_share", r.BaselineShare)
	w.w.keyFloat("comparison_share", r.ComparisonShare)
	w.w.keyFloat("delta_per_second", r.DeltaPerSecond)
	w.w.keyFloat("p_value", r.PValue)
	w.text("status", r.Status.String())
}

func (w *diffWriter) values(key string, v *[profile.MaxTypes]int64) {
	w.result.values(key, &profilestore.KindMerge{Types: w.d.Types}, v)
}

func (w *diffWriter) text(key, v string) {
	w.w.key(key)
	w.w.string(v)
}

func average(v *diff.Values) float64 {
	if v.Count == 0 {
		return 0
	}
	return float64(v.Values[0]) / float64(v.Count)
}

func (w *writer) bool(v bool) {
	w.next()
	w.buf = strconv.AppendBool(w.buf, v)
}
