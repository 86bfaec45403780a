package aperturejson

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func diffOf(t *testing.T, kind string, baseline, comparison *profilestore.Merge, o diff.Options) string {
	t.Helper()
	const second = 1_000_000_000
	d := diff.Compute(kind, diff.Window{Merge: baseline, Start: second, End: 2 * second}, diff.Window{Merge: comparison, Start: 2 * second, End: 4 * second}, o)
	var text strings.Builder
	require.NoError(t, WriteDiff(&text, d, o.MaxRows, Upstream))
	require.True(t, json.Valid([]byte(text.String())), text.String())
	return text.String()
}

func TestWriteDiff(t *testing.T) {
	later := example()
	for i := range later.Kinds {
		k := &later.Kinds[i]
		for j := range k.Rows {
			k.Rows[j].Values[0] *= 3
		}
		k.Totals[0] *= 3
		k.StacklessValue *= 3
		for j := range k.Syscalls {
			k.Syscalls[j].Count, k.Syscalls[j].Total = 4, 8000
		}
	}
	o := diff.Options{MaxRows: 100}
	const frame = `{"stack":{"frames":[{"ip":`
	cpu := diffOf(t, profile.KindCPU, example(), later, o)
	assert.True(t, strings.HasPrefix(cpu, `{"baseline_total":2,"comparison_total":6,"stacks":[`+frame+`4198400,"function":"leaf","file":"app.c","line":7,"module":"app"}`), cpu)
	assert.True(t, strings.HasSuffix(cpu, `]},"baseline_count":2,"comparison_count":6,"delta":4,"delta_pct":200.0,"baseline_share":1.0,"comparison_share":1.0,`+
		`"delta_per_second":1.0,"p_value":1.0,"status":"changed"}],"baseline_duration_ns":1000000000,"comparison_duration_ns":2000000000,"normalize":"none","truncated":false}`), cpu)
	lock := diffOf(t, profile.KindLock, example(), new(profilestore.Merge), o)
	assert.Contains(t, lock, `"contentions":[{"lock_addr":`)
	assert.Contains(t, lock, `"comparison_count":0,"delta_wait_ns":-`)
	assert.Contains(t, lock, `"status":"gone"}],"baseline_wait_ns":`)
	syscall := diffOf(t, profile.KindSyscall, example(), later, o)
	assert.Contains(t, syscall, `"syscalls":[{"syscall_id":202,"name":"futex","baseline_count":1,"comparison_count":4,"delta_count":3,"baseline_avg_ns":2048.0,"comparison_avg_ns":2000.0,"delta_avg_ns":-48.0,"delta_pct":300.0,`)
	gpu := diffOf(t, profile.KindGPU, new(profilestore.Merge), example(), o)
	assert.Contains(t, gpu, `"baseline_count":0,"comparison_count":1,"delta":1,"delta_pct":0.0,"baseline_values":[0,0],"comparison_values":[5000,1],`)
	assert.Contains(t, gpu, `"types":[{"type":"duration","unit":"nanoseconds"},{"type":"launches","unit":"count"}],"baseline_totals":[0,0],"comparison_totals":[5000,1],`)
	assert.Contains(t, gpu, `"status":"new"`)
	none := diffOf(t, profile.KindOffCPU, new(profilestore.Merge), new(profilestore.Merge), diff.Options{Normalize: diff.Rate})
	assert.Contains(t, none, `{"baseline_total":0,"comparison_total":0,"stacks":[],"types":[{"type":"off_cpu","unit":"nanoseconds"}`)
	assert.Contains(t, none, `"normalize":"rate"`)
	assert.Contains(t, diffOf(t, profile.KindCPU, example(), later, diff.Options{}), `"stacks":[],"baseline_duration_ns":1000000000,"comparison_duration_ns":2000000000,"normalize":"none","truncated":true}`)
}

func TestFloats(t *testing.T) {
	for want, v := range map[string]float64{
		"50.0": 50, "-0.5": -0.5, "0.0": 0, "1e-06": 1e-6, "1e+16": 1e16, "0.00001": 1e-5, "null": math.NaN(), "1e-300": 1e-300,
	} {
		var text strings.Builder
		w := newWriter(&text, false)
		w.float(v)
		w.flush()
		assert.Equal(t, want, text.String())
		assert.True(t, json.Valid([]byte(want)))
	}
	w := newWriter(new(strings.Builder), false)
	w.float(math.Inf(1))
	assert.Equal(t, "null", string(w.buf))
}
