package aperturejson

import (
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/syscallname"
)

// FrameOrder is the order of the frames of a stack.
type FrameOrder uint8

const (
	// Upstream is the order that clients of the Aperture API know: user frames,
	// then kernel frames, each leaf first.
	Upstream FrameOrder = iota
	// LeafFirst is the true order: kernel frames, which ran last, then user
	// frames.
	LeafFirst
)

// Options say what is written.
type Options struct {
	// TotalEvents is the number of observations of every kind.
	TotalEvents uint64
	// MaxRows bounds the stacks written per kind.
	MaxRows int
	Order   FrameOrder
	// Indent writes for people, two spaces per level.
	Indent bool
	// SkippedBatches adds the number of batches that could not be decoded. Such
	// batches are refused at the door, so it is 0.
	SkippedBatches bool
}

// Write writes m to out. m must be merged by lock and by system call. It stops
// at the first error of out and returns it.
func Write(out io.Writer, m *profilestore.Merge, o Options) error {
	r := result{w: newWriter(out, o.Indent), m: m, o: o}
	r.write()
	r.w.flush()
	return r.w.err
}

type result struct {
	w *writer
	m *profilestore.Merge
	o Options
}

func (r *result) write() {
	w := r.w
	w.open('{')
	r.kind("cpu", r.find(profile.KindCPU), r.cpu)
	r.kind("lock", r.find(profile.KindLock), r.lock)
	r.kind("syscall", r.find(profile.KindSyscall), r.syscall)
	w.keyUint("total_events", r.o.TotalEvents)
	if r.o.SkippedBatches {
		w.keyUint("skipped_batches", 0)
	}
	if k := r.find(profile.KindOffCPU); k != nil {
		r.kind("off_cpu", k, r.offCPU)
	}
	r.others()
	w.close('}')
}

// find returns the observations of one of our own kinds with the sample types
// that the kind has, nil if there are none.
func (r *result) find(kind string) *profilestore.KindMerge {
	for i := range r.m.Kinds {
		if k := &r.m.Kinds[i]; k.Kind == kind && isOwn(k) {
			return k
		}
	}
	return nil
}

// isOwn reports whether k is one of the kinds that have an object of their own.
// Profiles of others can claim to be of such a kind with other sample types.
func isOwn(k *profilestore.KindMerge) bool {
	switch k.Kind {
	case profile.KindCPU, profile.KindLock, profile.KindSyscall, profile.KindOffCPU:
		return len(k.Types) > 0 && k.Types[0] == profile.Types(k.Kind)[0]
	}
	return false
}

func (r *result) kind(key string, k *profilestore.KindMerge, write func(*profilestore.KindMerge)) {
	r.w.key(key)
	if k == nil || r.w.err != nil {
		r.w.null()
		return
	}
	r.w.open('{')
	r.w.keyInt("start_time", k.Start)
	r.w.keyInt("end_time", k.End)
	write(k)
	r.w.close('}')
}

// rows writes an array of the rows of k that have a stack.
func (r *result) rows(key string, k *profilestore.KindMerge, write func(*profilestore.Row)) {
	r.w.key(key)
	r.w.open('[')
	written := 0
	for i := range k.Rows {
		if written == r.o.MaxRows || r.w.err != nil {
			break
		}
		row := &k.Rows[i]
		if len(r.m.Stacks[row.Stack].Frames) == 0 {
			continue
		}
		r.w.open('{')
		write(row)
		r.w.close('}')
		written++
	}
	r.w.close(']')
}

func (r *result) cpu(k *profilestore.KindMerge) {
	// What came without a stack counts in the events of everything only.
	r.w.keyPositive("total_samples", profile.Sub(k.Totals[0], k.StacklessValue))
	r.w.keyInt("sample_period_ns", k.Period)
	r.rows("stacks", k, func(row *profilestore.Row) {
		r.stack(row)
		r.w.keyPositive("count", row.Values[0])
	})
}

func (r *result) lock(k *profilestore.KindMerge) {
	r.w.keyUint("total_events", k.Events-k.StacklessEvents)
	r.rows("contentions", k, func(row *profilestore.Row) {
		r.w.keyUint("lock_addr", row.LockAddress)
		r.stack(row)
		r.waits(row)
	})
}

func (r *result) offCPU(k *profilestore.KindMerge) {
	r.w.keyUint("total_events", k.Events-k.StacklessEvents)
	r.rows("stacks", k, func(row *profilestore.Row) {
		r.stack(row)
		r.waits(row)
	})
}

func (r *result) waits(row *profilestore.Row) {
	r.w.keyUint("count", row.Count)
	r.w.keyPositive("total_wait_ns", row.Values[0])
	r.w.keyPositive("max_wait_ns", row.Max)
	r.w.keyPositive("min_wait_ns", row.Min)
}

func (r *result) syscall(k *profilestore.KindMerge) {
	w := r.w
	w.key("syscalls")
	w.open('{')
	for i := range k.Syscalls {
		s := &k.Syscalls[i]
		w.key(strconv.FormatInt(s.Number, 10))
		w.open('{')
		w.keyInt("syscall_id", s.Number)
		w.key("name")
		w.string(SyscallName(s))
		w.keyUint("count", s.Count)
		w.keyPositive("total_duration_ns", s.Total)
		w.keyPositive("max_duration_ns", s.Max)
		w.keyPositive("min_duration_ns", s.Min)
		w.keyUint("error_count", s.Errors)
		w.key("latency_histogram")
		w.open('[')
		for _, n := range s.Histogram {
			w.uint(n)
		}
		w.close(']')
		w.close('}')
	}
	w.close('}')
	w.keyUint("total_events", k.Events)
}

// SyscallName returns the name of a system call as its producer gave it, else
// that of the number on x86-64, else `unknown`.
func SyscallName(s *profilestore.SyscallStats) string {
	if s.Name != "" {
		return s.Name
	}
	if s.Number < 0 || s.Number > math.MaxUint32 {
		return syscallname.Unknown
	}
	return syscallname.X8664.Name(uint32(s.Number))
}

// others writes the kinds that have no object of their own. Where one kind has
// several lists of sample types, the later ones have the first type in their key.
func (r *result) others() {
	keys := make(map[string]struct{})
	for i := range r.m.Kinds {
		k := &r.m.Kinds[i]
		if isOwn(k) && r.find(k.Kind) == k {
			continue
		}
		if len(keys) == 0 {
			r.w.key("profiles")
			r.w.open('{')
		}
		key := k.Kind
		for n := 0; ; n++ {
			if _, used := keys[key]; !used {
				break
			}
			key = k.Kind + ":" + firstType(k) + strings.Repeat("'", n)
		}
		keys[key] = struct{}{}
		r.kind(key, k, r.other)
	}
	if len(keys) > 0 {
		r.w.close('}')
	}
}

func firstType(k *profilestore.KindMerge) string {
	if len(k.Types) == 0 {
		return ""
	}
	return k.Types[0].Type
}

func (r *result) other(k *profilestore.KindMerge) {
	w := r.w
	w.keyUint("total_events", k.Events)
	w.keyInt("period", k.Period)
	r.types(k.Types)
	r.values("totals", k, &k.Totals)
	r.rows("stacks", k, func(row *profilestore.Row) {
		r.stack(row)
		w.keyUint("count", row.Count)
		r.values("values", k, &row.Values)
		w.keyInt("max", row.Max)
		w.keyInt("min", row.Min)
	})
}

func (r *result) types(types []profile.ValueType) {
	w := r.w
	w.key("types")
	w.open('[')
	for _, t := range types {
		w.open('{')
		w.key("type")
		w.string(t.Type)
		w.key("unit")
		w.string(t.Unit)
		w.close('}')
	}
	w.close(']')
}

func (r *result) values(key string, k *profilestore.KindMerge, values *[profile.MaxTypes]int64) {
	r.w.key(key)
	r.w.open('[')
	for i := range min(len(k.Types), len(values)) {
		r.w.int(values[i])
	}
	r.w.close(']')
}

func (r *result) stack(row *profilestore.Row) { r.frames(r.m.Stacks[row.Stack].Frames) }

func (r *result) frames(frames []*profile.Frame) {
	r.w.key("stack")
	r.w.open('{')
	r.w.key("frames")
	r.w.open('[')
	if r.o.Order == LeafFirst {
		for _, f := range frames {
			r.frame(f)
		}
	} else {
		for _, kernel := range []bool{false, true} {
			for _, f := range frames {
				if f.IsKernel() == kernel {
					r.frame(f)
				}
			}
		}
	}
	r.w.close(']')
	r.w.close('}')
}

func (r *result) frame(f *profile.Frame) {
	w := r.w
	w.open('{')
	w.keyUint("ip", f.Address)
	w.keyText("function", f.Function.Name)
	w.keyText("file", f.Function.Filename)
	w.key("line")
	if f.Line > 0 {
		w.int(f.Line)
	} else {
		w.null()
	}
	w.keyText("module", flame.Module(f))
	w.close('}')
}
