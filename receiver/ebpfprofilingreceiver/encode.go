package ebpfprofilingreceiver

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

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
	b         *profile.Builder
	kernel    *symbol.Kernel
	files     map[*symbol.File]int32 // mapping
	user      map[symbol.Frame]int32 // location
	kernels   map[uint64]int32       // location by address, ownProgram for none
	locations []int32

	unnamedKernel, unnamedUser int64
}

// ownProgram marks frames of our own program, which are not shown.
const ownProgram = -1

// encode builds the profiles: one resource for each process, with one profile.
// It sorts samples.
func encode(samples []sample, kernel *symbol.Kernel, info batchInfo) (pprofile.Profiles, *encoder) {
	e := &encoder{
		b: profile.NewBuilder(), kernel: kernel,
		files: make(map[*symbol.File]int32), user: make(map[symbol.Frame]int32), kernels: make(map[uint64]int32),
	}
	slices.SortFunc(samples, func(a, b sample) int {
		x, y := a.proc.key, b.proc.key
		return cmp.Or(cmp.Compare(x.pid, y.pid), cmp.Compare(x.start, y.start), cmp.Compare(x.exec, y.exec))
	})
	pd := e.b.Profiles()
	var p pprofile.Profile
	for i, s := range samples {
		if i == 0 || samples[i-1].proc != s.proc {
			rp := pd.ResourceProfiles().AppendEmpty()
			setResource(rp.Resource().Attributes(), s.proc, info)
			sp := rp.ScopeProfiles().AppendEmpty()
			sp.Scope().SetName(scopeName)
			p = e.b.AddProfile(sp, profile.KindCPU, profile.Types(profile.KindCPU)[0],
				profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, int64(time.Second)/int64(info.frequency))
			// The duration is monotonic; counting it back from the end keeps both
			// right when the wall clock was set in between.
			duration := info.end.Sub(info.start)
			p.SetTime(pcommon.NewTimestampFromTime(info.end.Add(-duration)))
			p.SetDurationNano(uint64(duration))
		}
		out := p.Samples().AppendEmpty()
		out.SetStackIndex(e.stack(s.stack))
		out.AttributeIndices().Append(e.b.StringAttribute(profile.AttrThreadName, s.comm))
		out.Values().Append(int64(s.count))
	}
	return pd, e
}

func setResource(attrs pcommon.Map, p *process, info batchInfo) {
	attrs.EnsureCapacity(12)
	put := func(key, value string) {
		if value != "" {
			attrs.PutStr(key, value)
		}
	}
	put("service.name", p.info.service)
	put("host.name", info.host)
	attrs.PutInt("process.pid", int64(p.key.pid))
	put("process.executable.name", p.info.name)
	put("process.executable.path", p.info.path)
	put("process.command", p.info.command)
	put("container.id", p.info.container)
	put(profile.AttrTenant, info.tenant)
	put(profile.AttrAgentID, info.agent)
	attrs.PutInt(profile.AttrBatchSequence, info.sequence)
	attrs.PutInt(profile.AttrBatchEventCount, info.events)
	attrs.PutInt(profile.AttrBatchReceivedAt, info.end.UnixNano())
}

// stack returns the index of a stack: kernel frames, then user frames.
func (e *encoder) stack(s *stack) int32 {
	e.locations = e.locations[:0]
	for i, ip := range s.kernel {
		if i > 0 {
			ip-- // a return address, see stackTable.resolve
		}
		l := e.kernelLocation(ip)
		if l == ownProgram {
			// Only at the leaf end: what our own program spends is measured apart.
			if len(e.locations) == 0 {
				continue
			}
			l = e.b.Location(e.b.Mapping(profile.Mapping{Filename: profile.KernelMapping}), ip, profile.FrameKernel)
		}
		e.locations = append(e.locations, l)
	}
	for _, f := range s.user {
		e.locations = append(e.locations, e.userLocation(f))
	}
	return e.b.Stack(e.locations)
}

func (e *encoder) kernelLocation(ip uint64) int32 {
	if l, ok := e.kernels[ip]; ok {
		return l
	}
	name, module, ok := e.kernel.Lookup(ip)
	file := profile.KernelMapping
	if module != "" {
		file = "[" + module + "]"
	}
	var l int32
	switch {
	case strings.HasPrefix(name, "bpf_prog_") && strings.HasSuffix(name, "_aperture_cpu"):
		l = ownProgram
	case ok:
		fn := e.b.Function(profile.Function{Name: clean(name)})
		l = e.b.Location(e.b.Mapping(profile.Mapping{Filename: file}), ip, profile.FrameKernel, profile.Line{Function: fn})
	default:
		e.unnamedKernel++
		l = e.b.Location(e.b.Mapping(profile.Mapping{Filename: file}), ip, profile.FrameKernel)
	}
	e.kernels[ip] = l
	return l
}

func (e *encoder) userLocation(f symbol.Frame) int32 {
	if l, ok := e.user[f]; ok {
		return l
	}
	var l int32
	if f.File == nil {
		e.unnamedUser++
		l = e.b.Location(0, f.Addr, profile.FrameNative)
	} else if syms := f.File.Lookup(f.Addr, nil); len(syms) > 0 {
		lines := make([]profile.Line, len(syms))
		for i, sym := range syms {
			lines[i] = profile.Line{Line: sym.Line, Function: e.b.Function(profile.Function{
				Name: sym.Name, SystemName: sym.System, Filename: sym.File, StartLine: sym.StartLine,
			})}
		}
		l = e.b.Location(e.mapping(f.File), f.Addr, syms[0].Kind, lines...)
	} else {
		e.unnamedUser++
		l = e.b.Location(e.mapping(f.File), f.Addr, profile.FrameNative)
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
