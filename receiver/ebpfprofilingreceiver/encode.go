package ebpfprofilingreceiver

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/lockkind"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
)

const scopeName = "github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver"

// batchInfo is what a batch says about itself.
type batchInfo struct {
	host, agent, tenant string
	sequence, events    int64
	start, end          time.Time
	frequency           int
}

// encoder turns the samples of one interval into profiles.
type encoder struct {
	info      batchInfo
	b         *profile.Builder
	kernel    *symbol.Kernel
	files     map[*symbol.File]int32 // mapping
	user      map[symbol.Frame]location
	kernels   map[uint64]kernelFrame
	locations []int32
	functions []string // of the user half of the last stack, leaf first

	unnamedKernel, unnamedUser int64
}

// location is an entry of the location table and the function it is in.
type location struct {
	index    int32
	function string
}

type kernelFrame struct {
	index int32
	name  string
}

// encode builds the profiles: one resource for each process, in it one profile
// for each kind and type of value. It sorts samples.
func encode(samples []sample, kernel *symbol.Kernel, info batchInfo) (pprofile.Profiles, *encoder) {
	e := &encoder{
		info: info, b: profile.NewBuilder(), kernel: kernel,
		files: make(map[*symbol.File]int32), user: make(map[symbol.Frame]location), kernels: make(map[uint64]kernelFrame),
	}
	slices.SortFunc(samples, func(a, b sample) int {
		return cmp.Or(cmp.Compare(a.proc.PID, b.proc.PID), cmp.Compare(a.proc.Image, b.proc.Image), cmp.Compare(a.kind, b.kind))
	})
	for len(samples) > 0 {
		n := 1
		for n < len(samples) && samples[n].proc == samples[0].proc {
			n++
		}
		e.process(samples[:n])
		samples = samples[n:]
	}
	return e.b.Profiles(), e
}

// process adds the resource of one process.
func (e *encoder) process(samples []sample) {
	rp := e.b.Profiles().ResourceProfiles().AppendEmpty()
	setResource(rp.Resource().Attributes(), samples[0].stack, e.info)
	sp := rp.ScopeProfiles().AppendEmpty()
	sp.Scope().SetName(scopeName)
	for len(samples) > 0 {
		n := 1
		for n < len(samples) && samples[n].kind == samples[0].kind {
			n++
		}
		e.kind(sp, samples[:n])
		samples = samples[n:]
	}
}

// pair are the profiles of a kind: the values of the first type and, where they
// are durations, their numbers.
type pair struct{ values, counts pprofile.Profile }

func (e *encoder) pair(sp pprofile.ScopeProfiles, kind string, timed bool) pair {
	types := profile.Types(kind)
	if !timed {
		period := profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
		return pair{values: e.profile(sp, kind, types[0], period, int64(time.Second)/int64(e.info.frequency))}
	}
	p := pair{values: e.profile(sp, kind, types[0], profile.ValueType{}, 0)}
	p.values.AttributeIndices().Append(e.b.StringAttribute(profile.AttrValues, profile.ValuesMinRestMax))
	p.counts = e.profile(sp, kind, types[1], profile.ValueType{}, 0)
	return p
}

// kind adds the profiles of what one program of the kernel counted.
func (e *encoder) kind(sp pprofile.ScopeProfiles, samples []sample) {
	pairs := make(map[string]pair, 2)
	timed := samples[0].kind != bpf.KindCPU
	for i := range samples {
		s := &samples[i]
		index := e.stack(s.stack)
		kind, attrs := e.attributes(s.stack)
		p, ok := pairs[kind]
		if !ok {
			p = e.pair(sp, kind, timed)
			pairs[kind] = p
		}
		out := p.values.Samples().AppendEmpty()
		out.SetStackIndex(index)
		out.AttributeIndices().FromRaw(attrs)
		count := int64(min(s.count, profile.MaxValue))
		if !timed {
			out.Values().Append(count)
			continue
		}
		appendMinRestMax(out.Values(), s)
		out = p.counts.Samples().AppendEmpty()
		out.SetStackIndex(index)
		out.AttributeIndices().FromRaw(attrs)
		out.Values().Append(count)
	}
}

// appendMinRestMax describes durations by the layout profile.ValuesMinRestMax. A
// thousand threads that slept for a day are more than a value may be.
func appendMinRestMax(to pcommon.Int64Slice, s *sample) {
	bounded := func(v uint64) int64 { return int64(min(v, profile.MaxValue)) }
	switch {
	case s.count == 1:
		to.Append(bounded(s.sum))
	case s.count == 2 && s.min+s.max == s.sum:
		to.Append(bounded(s.min), bounded(s.max))
	default:
		lo, hi := bounded(s.min), bounded(s.max)
		to.Append(lo, bounded(s.sum)-lo-hi, hi)
	}
}

func (e *encoder) profile(sp pprofile.ScopeProfiles, kind string, typ, period profile.ValueType, value int64) pprofile.Profile {
	p := e.b.AddProfile(sp, kind, typ, period, value)
	// The duration is monotonic; counting it back from the end keeps both right
	// when the wall clock was set in between.
	duration := e.info.end.Sub(e.info.start)
	p.SetTime(pcommon.NewTimestampFromTime(e.info.end.Add(-duration)))
	p.SetDurationNano(uint64(duration))
	return p
}

// attributes returns the kind of profile that a sample belongs to and what tells
// it from samples with the same stack. The stack must have been encoded just
// before.
func (e *encoder) attributes(s *stack) (kind string, attrs []int32) {
	kind = kinds[s.kind]
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, e.b.StringAttribute(key, value))
		}
	}
	text(profile.AttrThreadName, s.comm)
	switch s.kind {
	case bpf.KindOffCPU:
		text(profile.AttrWaitState, bpf.OffCPUState(s.object))
	case bpf.KindLock:
		lock := lockkind.Kind(s.detail, e.functions)
		if lockkind.WaitsForWork(lock) {
			kind = profile.KindLockIdle
		} else {
			attrs = append(attrs, e.b.IntAttribute(profile.AttrLockAddress, int64(s.object)))
		}
		text(profile.AttrLockKind, lock)
	case bpf.KindSyscall:
		return kind, e.syscallAttributes(s)
	}
	return kind, attrs
}

func setResource(attrs pcommon.Map, s *stack, info batchInfo) {
	p := s.proc.Info(s.comm, s.cgroup)
	attrs.EnsureCapacity(16 + len(p.Attributes))
	put := func(key, value string) {
		if value != "" {
			attrs.PutStr(key, value)
		}
	}
	for _, a := range p.Attributes {
		put(a.Key, a.Value)
	}
	put("service.name", p.Service)
	put("host.name", info.host)
	attrs.PutInt("process.pid", int64(s.proc.PID))
	if p.PPID != 0 {
		attrs.PutInt("process.parent_pid", int64(p.PPID))
	}
	if p.NamespacedPID != 0 && p.NamespacedPID != s.proc.PID {
		attrs.PutInt("process.vpid", int64(p.NamespacedPID))
	}
	put("process.executable.name", p.Name)
	put("process.executable.path", p.Path)
	put("process.command", p.Command)
	put("container.id", p.Container.ID)
	put("container.runtime", p.Container.Runtime)
	put("k8s.pod.uid", p.Container.PodUID)
	put(profile.AttrTenant, info.tenant)
	put(profile.AttrAgentID, info.agent)
	attrs.PutInt(profile.AttrBatchSequence, info.sequence)
	attrs.PutInt(profile.AttrBatchEventCount, info.events)
	attrs.PutInt(profile.AttrBatchReceivedAt, info.end.UnixNano())
}

// stack returns the index of a stack: kernel frames, then user frames.
func (e *encoder) stack(s *stack) int32 {
	e.locations, e.functions = e.locations[:0], e.functions[:0]
	for i, ip := range s.kernel {
		if i > 0 || s.kind == bpf.KindOffCPU {
			ip-- // a return address: the call is the byte before
		}
		f := e.kernelFrame(ip)
		// Only at the leaf end: what our own programs spend is measured apart.
		if len(e.locations) == 0 && ownFrame(s.kind, f.name) {
			continue
		}
		e.locations = append(e.locations, f.index)
	}
	for _, f := range s.user {
		l := e.userLocation(f)
		e.locations, e.functions = append(e.locations, l.index), append(e.functions, l.function)
	}
	if len(e.locations) == 0 {
		return 0
	}
	return e.b.Stack(e.locations)
}

// ownFrames are how functions begin that lead from a tracepoint to a program of
// ours.
var ownFrames = []string{"bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "trace_call_bpf", "perf_trace_", "perf_syscall_"}

// ownFrame reports whether a kernel function is there only because of our
// programs.
func ownFrame(kind bpf.Kind, name string) bool {
	if kind == bpf.KindCPU {
		return strings.HasPrefix(name, "bpf_prog_") && strings.Contains(name, "_aperture_cpu")
	}
	for _, prefix := range ownFrames {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (e *encoder) kernelFrame(ip uint64) kernelFrame {
	if f, ok := e.kernels[ip]; ok {
		return f
	}
	name, module, ok := e.kernel.Lookup(ip)
	file := profile.KernelMapping
	if module != "" {
		file = "[" + module + "]"
	}
	m := e.b.Mapping(profile.Mapping{Filename: file})
	f := kernelFrame{name: name}
	if ok {
		fn := e.b.Function(profile.Function{Name: clean(name)})
		f.index = e.b.Location(m, ip, profile.FrameKernel, profile.Line{Function: fn})
	} else {
		e.unnamedKernel++
		f.index = e.b.Location(m, ip, profile.FrameKernel)
	}
	e.kernels[ip] = f
	return f
}

func (e *encoder) userLocation(f symbol.Frame) location {
	if l, ok := e.user[f]; ok {
		return l
	}
	var l location
	if f.File == nil {
		e.unnamedUser++
		l.index = e.b.Location(0, f.Addr, profile.FrameNative)
	} else if syms := f.File.Lookup(f.Addr, nil); len(syms) > 0 {
		lines := make([]profile.Line, len(syms))
		for i, sym := range syms {
			lines[i] = profile.Line{Line: sym.Line, Function: e.b.Function(profile.Function{
				Name: sym.Name, SystemName: sym.System, Filename: sym.File, StartLine: sym.StartLine,
			})}
		}
		l.index = e.b.Location(e.mapping(f.File), f.Addr, syms[0].Kind, lines...)
		l.function = syms[len(syms)-1].Name
	} else {
		e.unnamedUser++
		l.index = e.b.Location(e.mapping(f.File), f.Addr, profile.FrameNative)
	}
	e.user[f] = l
	return l
}

func (e *encoder) mapping(f *symbol.File) int32 {
	if m, ok := e.files[f]; ok {
		return m
	}
	attr := profile.AttrBuildIDGNU
	if f.BuildID.Go {
		attr = profile.AttrBuildIDGo
	}
	m := e.b.Mapping(profile.Mapping{Filename: clean(f.Path), BuildID: f.BuildID.ID, BuildIDAttr: attr})
	e.files[f] = m
	return m
}

// clean makes a string that another process chose fit for an attribute.
func clean(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxAttribute)], "?") }

const maxAttribute = 4096
