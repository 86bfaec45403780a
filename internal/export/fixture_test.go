package export

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const startTime = 1_700_000_000_000_000_000

// hostile are names that break formats which do not escape them.
var hostile = []string{
	"a;b", "line\nbreak", `say "no" \ 'yes'`, "</title><script>alert(1)</script>", "a&lt;b]]>", "bad\xff\xfeutf8",
	"nul\x00\x1b[31m", "\u2028\u202e\ufffe", "tab\there", "{{.}} ${x} %s", "", "日本語", "-1", "__proto__",
}

// sampleProfile is a lock profile of three stacks: one with an inlined function
// and an address that nothing is known of, one with hostile names, none.
func sampleProfile() *Profile {
	leaf := &profile.Frame{
		Address: 0x401000, Line: 12, Mapping: "/usr/bin/app", BuildID: "abcd", Type: profile.FrameNative, Inlined: true,
		Function: profile.Function{Name: "inner", SystemName: "_Z5innerv", Filename: "inner.c", StartLine: 10},
	}
	outer := &profile.Frame{
		Address: 0x401000, Line: 33, Mapping: "/usr/bin/app", BuildID: "abcd", Type: profile.FrameNative,
		Function: profile.Function{Name: "outer", Filename: "outer.c"},
	}
	kernel := &profile.Frame{
		Address: 0xffffffff81000001, Mapping: profile.KernelMapping, Type: profile.FrameKernel,
		Function: profile.Function{Name: "do_futex"},
	}
	unknown := &profile.Frame{Address: 0x402000, Mapping: "/usr/lib/libx.so"}
	nowhere := &profile.Frame{Address: 0x7f0000000001}
	m := &profilestore.Merge{Stacks: []profilestore.Stack{
		{Frames: []*profile.Frame{kernel, leaf, outer, unknown, nowhere}},
		{},
		{},
	}}
	for _, name := range hostile {
		f := &profile.Frame{Address: 1, Mapping: name, BuildID: name, Type: name, Function: profile.Function{Name: name, Filename: name}}
		m.Stacks[1].Frames = append(m.Stacks[1].Frames, f)
	}
	m.Kinds = []profilestore.KindMerge{{
		Kind: profile.KindLock, Types: profile.Types(profile.KindLock), Start: startTime, End: startTime + 5e9,
		Totals: [profile.MaxTypes]int64{1111, 11}, Events: 11, StacklessValue: 11, StacklessEvents: 1, TotalRows: 4,
		Rows: []profilestore.Row{
			{Stack: 0, Syscall: profilestore.NoSyscall, LockAddress: 0xffff888000000010, Values: [profile.MaxTypes]int64{600, 4}, Count: 4, Min: 100, Max: 300},
			{Stack: 0, Syscall: profilestore.NoSyscall, LockAddress: 0x20, Values: [profile.MaxTypes]int64{400, 1}, Count: 1, Min: 400, Max: 400},
			{Stack: 1, Syscall: profilestore.NoSyscall, Values: [profile.MaxTypes]int64{100, 5}, Count: 5},
			{Stack: 2, Syscall: profilestore.NoSyscall, Values: [profile.MaxTypes]int64{11, 1}, Count: 1, Min: 11, Max: 11},
		},
	}}
	return &Profile{Merge: m, Kind: &m.Kinds[0]}
}

// syscallProfile is of system calls without stacks.
func syscallProfile() *Profile {
	return Syscalls(&profilestore.KindMerge{
		Kind: profile.KindSyscall, Types: profile.Types(profile.KindSyscall), Start: startTime, End: startTime,
		Totals: [profile.MaxTypes]int64{700, 7}, Events: 7,
		Syscalls: []profilestore.SyscallStats{
			{Number: 0, Count: 3, Errors: 1, Total: 300, Min: 50, Max: 200, Histogram: [profile.LatencyBuckets]uint64{5: 1, 6: 1, 7: 1}},
			{Number: 202, Name: "my_futex", Count: 4, Errors: 4, Total: 400, Min: 100, Max: 100, Histogram: [profile.LatencyBuckets]uint64{6: 4}},
		},
	})
}

// randomProfile is a CPU profile of n stacks of the given depth over a program
// of 2000 functions.
func randomProfile(n, depth int) *Profile {
	r := rand.New(rand.NewPCG(1, 2))
	frames := make([]*profile.Frame, 2000)
	types := []string{profile.FrameKernel, profile.FrameNative, profile.FrameGo, "jvm", "cpython", ""}
	for i := range frames {
		frames[i] = &profile.Frame{
			Address: uint64(0x400000 + 16*i), Line: int64(i), Mapping: fmt.Sprintf("/usr/bin/app-%d", i%7), Type: types[i%len(types)],
			Inlined: i%10 == 0, Function: profile.Function{Name: fmt.Sprintf("package/of.(*functions).number%d", i), Filename: fmt.Sprintf("/src/file%d.go", i%50)},
		}
	}
	k := profilestore.KindMerge{Kind: profile.KindCPU, Types: profile.Types(profile.KindCPU), Period: 1e7, Start: startTime, End: startTime + 6e10, TotalRows: n}
	m := &profilestore.Merge{Stacks: make([]profilestore.Stack, n)}
	for i := range m.Stacks {
		at := 0
		stack := make([]*profile.Frame, depth)
		for d := range stack {
			at = (at*3 + 1 + r.IntN(3)) % len(frames)
			stack[depth-1-d] = frames[at]
		}
		m.Stacks[i].Frames = stack
		v := int64(1 + r.IntN(100))
		k.Rows = append(k.Rows, profilestore.Row{Stack: int32(i), Syscall: profilestore.NoSyscall, Values: [profile.MaxTypes]int64{v}, Count: uint64(v)})
		k.Totals[0] += v
		k.Events += uint64(v)
	}
	m.Kinds = []profilestore.KindMerge{k}
	return &Profile{Merge: m, Kind: &m.Kinds[0]}
}

var errFull = errors.New("full")

// fullWriter takes a number of bytes and then fails.
type fullWriter struct{ room int }

func (w *fullWriter) Write(b []byte) (int, error) {
	if len(b) > w.room {
		n := w.room
		w.room = 0
		return n, errFull
	}
	w.room -= len(b)
	return len(b), nil
}
