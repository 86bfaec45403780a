package chunktest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Source makes windows of made-up profiles, reproducibly: of every kind, with
// attribute sets, extremes, negative values, equal profiles and empty groups.
type Source struct {
	rnd    *rand.Rand
	dict   *profile.Dictionary
	series []*profile.Series
	tokens uint64
}

// Second is a second in nanoseconds.
const Second = int64(1_000_000_000)

// Base is the begin of an hour, in Unix nanoseconds.
const Base = int64(1_700_000_000/3600*3600) * Second

// stacks is the number of different ones.
const stacks = 60

// types are those of the kinds that are made.
var types = map[string][]profile.ValueType{
	profile.KindCPU:     profile.Types(profile.KindCPU),
	profile.KindLock:    profile.Types(profile.KindLock),
	profile.KindSyscall: profile.Types(profile.KindSyscall),
	profile.KindOffCPU:  profile.Types(profile.KindOffCPU),
	profile.KindGPU:     profile.Types(profile.KindGPU),
	"memory": {
		{Type: "alloc_objects", Unit: "count"},
		{Type: "alloc_space", Unit: "bytes"},
		{Type: "inuse_objects", Unit: "count"},
		{Type: "inuse_space", Unit: "bytes"},
	},
	"queue": {{Type: "delta/a,b", Unit: "%"}, {Type: "length", Unit: ""}, {Type: "third", Unit: "x"}},
}

// Kinds are the names of all kinds that windows have, sorted.
func Kinds() []string {
	out := make([]string, 0, len(types))
	for k := range types {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// NewSource returns a source of windows with three services of three pods in each
// of the tenants anonymous and other.
func NewSource(seed uint64) *Source {
	s := &Source{rnd: rand.New(rand.NewPCG(seed, 7))}
	for _, tenant := range []string{"anonymous", "other"} {
		for service := range 3 {
			for pod := range 3 {
				labels := []profile.Label{
					{Name: profile.AttrAgentID, Value: fmt.Sprintf("agent-%d", pod%2)},
					{Name: "k8s.pod.name", Value: fmt.Sprintf("pod-%d", pod)},
					{Name: "service.name", Value: fmt.Sprintf("service-%d", service)},
				}
				id, _ := profile.LabelsID(labels, nil)
				s.series = append(s.series, &profile.Series{Tenant: tenant, Service: fmt.Sprintf("service-%d", service), Labels: labels, ID: id})
			}
		}
	}
	s.dict = dictionary()
	return s
}

// dictionary has the empty stack, all stacks of three frames, and one of them a
// second time under another index, as dictionaries from outside may.
func dictionary() *profile.Dictionary {
	d := &profile.Dictionary{Stacks: [][]int32{nil}, StackIDs: []profile.ID{{}}}
	frame := func(name string, address uint64) int32 {
		f := profile.Frame{Address: address, Function: profile.Function{Name: name, Filename: "main.go"}, Line: 7, Mapping: "/usr/bin/app", BuildID: "cafe", Type: profile.FrameGo}
		f.FunctionID, _ = f.Function.ID(nil)
		id, _ := f.ID(nil)
		d.Frames, d.FrameIDs = append(d.Frames, f), append(d.FrameIDs, id)
		return int32(len(d.Frames) - 1)
	}
	main := frame("main", 1)
	for i := 1; i < stacks; i++ {
		fs := []int32{frame(fmt.Sprintf("leaf_%d", i), uint64(i)<<8), frame(fmt.Sprintf("middle_%d", i%7), uint64(i)<<16), main}
		ids := make([]profile.ID, len(fs))
		for j, f := range fs {
			ids[j] = d.FrameIDs[f]
		}
		id, _ := profile.StackID(ids, nil)
		d.Stacks, d.StackIDs = append(d.Stacks, fs), append(d.StackIDs, id)
	}
	d.Stacks, d.StackIDs = append(d.Stacks, d.Stacks[1]), append(d.StackIDs, d.StackIDs[1])
	d.Attributes = attributes()
	return d
}

func attributes() []profile.SampleAttributes {
	out := []profile.SampleAttributes{{Syscall: profilestore.NoSyscall}}
	for i := range 12 {
		a := profile.SampleAttributes{Syscall: profilestore.NoSyscall}
		if i%3 > 0 {
			a.Labels = append(a.Labels, profile.Label{Name: profile.AttrThreadName, Value: fmt.Sprintf("thread-%d", i%3)})
		}
		switch i / 3 {
		case 1:
			a.LockAddress = ^uint64(i % 2)
		case 2, 3:
			a.Syscall, a.Bucket, a.Error = int64(i%4), uint8(i), i%2 == 0
			a.Labels = append([]profile.Label{{Name: profile.AttrSyscallName, Value: fmt.Sprintf("call_%d", i%4)}}, a.Labels...)
		}
		a.LabelsID, _ = profile.LabelsID(a.Labels, nil)
		a.ID = profile.HashBytes(fmt.Appendf(nil, "%v", a))
		out = append(out, a)
	}
	return out
}

// Window makes a window with n profiles of random series and kinds, which begin
// in the length (ns) from start on, and one empty group.
func (s *Source) Window(start, length int64, n int) *profilestore.Window {
	s.tokens++
	g := &profile.Groups{Dict: s.dict}
	kinds := Kinds()
	for range n {
		kind := kinds[s.rnd.IntN(len(kinds))]
		g.Groups = append(g.Groups, s.Group(kind, start+s.rnd.Int64N(max(length, 1))))
		if s.rnd.IntN(20) == 0 { // the same profile twice
			g.Groups = append(g.Groups, g.Groups[len(g.Groups)-1])
		}
	}
	empty := *s.Group(kinds[0], start)
	empty.Entries = nil
	g.Groups = append(g.Groups, &empty)
	batch := profile.Batch{Tenant: "anonymous", AgentID: "agent-0", Sequence: s.tokens, ReceivedAt: start}
	for _, group := range g.Groups {
		g.Events += group.Events()
		if group.Series.Tenant == batch.Tenant {
			batch.EventCount += group.Events()
		}
	}
	g.Batches = []profile.Batch{batch}
	return &profilestore.Window{Token: profile.HashBytes(fmt.Appendf(nil, "%d/%d", s.tokens, s.rnd.Uint64())), Groups: g}
}

// Group makes a profile of a random series.
func (s *Source) Group(kind string, at int64) *profile.Group {
	g := &profile.Group{
		Series: s.series[s.rnd.IntN(len(s.series))], Kind: kind, Types: types[kind],
		PeriodType: profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 10_101_010,
		Start: at, End: at + s.rnd.Int64N(2*Second),
	}
	if s.rnd.IntN(10) == 0 {
		g.Period = 20_000_000
	}
	for range 1 + s.rnd.IntN(20) {
		g.Entries = append(g.Entries, s.entry(kind))
	}
	return g
}

func (s *Source) entry(kind string) profile.Entry {
	e := profile.Entry{Stack: int32(s.rnd.IntN(stacks + 1)), Count: 1 + s.rnd.Uint64N(4)}
	switch kind {
	case profile.KindCPU, profile.KindGPU, "memory":
	case profile.KindLock:
		e.Attrs = int32(s.rnd.IntN(7))
	default:
		e.Attrs = int32(s.rnd.IntN(len(s.dict.Attributes)))
	}
	for i := range types[kind] {
		e.Values[i] = s.value(kind)
	}
	switch own := profile.Types(kind); {
	case len(own) == 1:
		e.Values[0] = int64(e.Count)
	case len(own) == 2:
		e.Values[1] = int64(e.Count)
		if n := int64(e.Count); s.rnd.IntN(4) > 0 {
			e.Min, e.Max = e.Values[0]/n, e.Values[0]/n+s.rnd.Int64N(100)
		}
	}
	return e
}

func (s *Source) value(kind string) int64 {
	switch {
	case s.rnd.IntN(20) == 0:
		return 0
	case kind == "queue": // any that there may be, also negative ones
		return int64(s.rnd.Uint64()) >> (8 + s.rnd.IntN(55))
	case s.rnd.IntN(2) == 0:
		return 1
	}
	return s.rnd.Int64N(1 << 20)
}
