package aperturejson

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// values is one value per sample type.
type values = [profile.MaxTypes]int64

// example is two equal CPU samples, one without a stack, two equal lock events,
// a system call and a GPU kernel: the mixed example of the Aperture API with a
// few more properties.
func example() *profilestore.Merge {
	leaf := &profile.Frame{Address: 0x401000, Function: profile.Function{Name: "leaf", Filename: "app.c"}, Line: 7, Mapping: "/opt/app", Type: profile.FrameNative}
	caller := &profile.Frame{Address: 0x402000, Type: profile.FrameNative}
	idle := &profile.Frame{Address: 0xffffffff81000010, Function: profile.Function{Name: "do_idle"}, Mapping: profile.KernelMapping, Type: profile.FrameKernel}
	gemm := &profile.Frame{Function: profile.Function{Name: "gemm<\"f32\">"}}
	syscall := profilestore.SyscallStats{Number: 202, Count: 1, Errors: 1, Total: 2048, Min: 2048, Max: 2048}
	syscall.Histogram[11] = 1
	const t0 = 1_700_000_000_000_000_000
	return &profilestore.Merge{
		Kinds: []profilestore.KindMerge{
			{
				Kind: profile.KindCPU, Types: profile.Types(profile.KindCPU), Start: t0 + 1, End: t0 + 3,
				Totals: values{3}, Events: 3, StacklessValue: 1, StacklessEvents: 1, TotalRows: 2,
				Rows: []profilestore.Row{{Stack: 1, Values: values{2}, Count: 2}, {Stack: 0, Values: values{1}, Count: 1}},
			},
			{
				Kind: profile.KindGPU, Types: profile.Types(profile.KindGPU), Start: t0 + 4, End: t0 + 4,
				Totals: values{5000, 1}, Events: 1, TotalRows: 1,
				Rows: []profilestore.Row{{Stack: 3, Values: values{5000, 1}, Count: 1, Min: 5000, Max: 5000}},
			},
			{
				Kind: profile.KindLock, Types: profile.Types(profile.KindLock), Start: t0 + 2, End: t0 + 2,
				Totals: values{2500, 2}, Events: 2, TotalRows: 1,
				Rows: []profilestore.Row{{Stack: 2, LockAddress: 0xffff_ffff_dead_beef, Values: values{2500, 2}, Count: 2, Min: 1000, Max: 1500}},
			},
			{
				Kind: profile.KindOffCPU, Types: profile.Types(profile.KindOffCPU), Start: t0, End: t0,
				Totals: values{9, 1}, Events: 1, TotalRows: 1,
				Rows: []profilestore.Row{{Stack: 2, Values: values{9, 1}, Count: 1, Min: 9, Max: 9}},
			},
			{
				Kind: profile.KindSyscall, Types: profile.Types(profile.KindSyscall), Start: t0 + 3, End: t0 + 3,
				Totals: values{2048, 1}, Events: 1, TotalRows: 1,
				Rows:     []profilestore.Row{{Stack: 0, Values: values{2048, 1}, Count: 1, Min: 2048, Max: 2048}},
				Syscalls: []profilestore.SyscallStats{syscall},
			},
		},
		Stacks: []profilestore.Stack{
			{},
			{Frames: []*profile.Frame{idle, leaf, caller}},
			{Frames: []*profile.Frame{caller}},
			{Frames: []*profile.Frame{gemm}},
		},
	}
}

func write(t *testing.T, m *profilestore.Merge, o Options) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, Write(&b, m, o))
	require.True(t, json.Valid([]byte(b.String())), b.String())
	return b.String()
}

func TestGolden(t *testing.T) {
	for name, o := range map[string]Options{
		"upstream.json":   {TotalEvents: 8, MaxRows: 100, SkippedBatches: true},
		"leaf_first.json": {TotalEvents: 8, MaxRows: 100, Order: LeafFirst, Indent: true},
		"no_stacks.json":  {TotalEvents: 8, Indent: true},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, write(t, example(), o))
		})
	}
}

func TestEmpty(t *testing.T) {
	assert.Equal(t, `{"cpu":null,"lock":null,"syscall":null,"total_events":0}`, write(t, &profilestore.Merge{}, Options{}))
	assert.Equal(t, "{\n  \"cpu\": null,\n  \"lock\": null,\n  \"syscall\": null,\n  \"total_events\": 0\n}",
		write(t, &profilestore.Merge{}, Options{Indent: true}))
	m := &profilestore.Merge{
		Kinds:  []profilestore.KindMerge{{Kind: profile.KindCPU, Types: profile.Types(profile.KindCPU), Totals: values{2}, StacklessValue: 2, Rows: []profilestore.Row{{Values: values{2}}}}},
		Stacks: []profilestore.Stack{{}},
	}
	assert.Equal(t, `{"cpu":{"start_time":0,"end_time":0,"total_samples":0,"sample_period_ns":0,"stacks":[]},"lock":null,"syscall":null,"total_events":2}`,
		write(t, m, Options{TotalEvents: 2, MaxRows: 10}), "samples without a stack leave the profile there")
}

func TestStringsAreEscapedAsTheStandardLibraryDecodes(t *testing.T) {
	for _, s := range []string{"", "plain", `a"b\c`, "\x00\x1f\n\t\r", "größe €", "\U0001F600", "bad\xffbyte", "\xed\xa0\x80", "\u2028", "<>&"} {
		var got string
		require.NoError(t, json.Unmarshal(appendString(nil, s), &got))
		assert.Equal(t, strings.ToValidUTF8(s, "\ufffd"), strings.ReplaceAll(got, "\ufffd\ufffd\ufffd", "\ufffd"), "%q", s)
	}
}

func TestSyscallName(t *testing.T) {
	assert.Equal(t, "futex", SyscallName(&profilestore.SyscallStats{Number: 202}))
	assert.Equal(t, "mine", SyscallName(&profilestore.SyscallStats{Number: 202, Name: "mine"}))
	for _, n := range []int64{-1, 400, 1 << 40} {
		assert.Equal(t, "unknown", SyscallName(&profilestore.SyscallStats{Number: n}))
	}
}

type limitedWriter int

var errFull = errors.New("full")

func (w *limitedWriter) Write(b []byte) (int, error) {
	if *w -= limitedWriter(len(b)); *w < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteReturnsTheError(t *testing.T) {
	m := example()
	for range 2000 {
		m.Kinds[0].Rows = append(m.Kinds[0].Rows, m.Kinds[0].Rows[0])
	}
	for _, n := range []limitedWriter{0, 100, 100_000} {
		require.ErrorIs(t, Write(&n, m, Options{MaxRows: 10_000}), errFull)
	}
}

// BenchmarkWrite writes 20,000 stacks of 30 frames.
func BenchmarkWrite(b *testing.B) {
	m := example()
	frames := m.Stacks[1].Frames
	for len(frames) < 30 {
		frames = append(frames, m.Stacks[1].Frames...)
	}
	m.Stacks[1].Frames = frames[:30]
	for len(m.Kinds[0].Rows) < 20_000 {
		m.Kinds[0].Rows = append(m.Kinds[0].Rows, m.Kinds[0].Rows[0])
	}
	var size counter
	b.ReportAllocs()
	for b.Loop() {
		size = 0
		if err := Write(&size, m, Options{MaxRows: 1 << 20}); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size))
	if size < 20_000*30*60 {
		b.Fatalf("wrote %d bytes only", size)
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
