package main

import (
	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// each calls call with the time of a profile that was drawn for the first hour, and
// of its copies, if they are in a selection.
func (f *fleet) each(sel *profilestore.Selector, service, pod int32, start int64, call func(time int64)) {
	if sel.Service != "" && sel.Service != f.corpus.Service(int(service)) {
		return
	}
	for _, m := range sel.Matchers {
		if f.label(int(service), int(pod), m.Name) != m.Value {
			return
		}
	}
	for t := start; t < sel.End; t += hour {
		if t >= sel.Start {
			call(t)
		}
	}
}

// sums returns the CPU samples of a selection by stack.
func (f *fleet) sums(sel *profilestore.Selector) map[uint64]int64 {
	out := make(map[uint64]int64)
	whole := len(sel.Matchers) == 0 && (sel.Start-f.start)%hour == 0 && (sel.End-f.start)%hour == 0
	if whole {
		n := (sel.End - sel.Start) / hour
		for k, v := range f.hour.ByKey {
			if k.Kind == corpus.KindCPU && (sel.Service == "" || sel.Service == k.Service) {
				out[k.Stack] += n * v
			}
		}
		return out
	}
	for i := range f.hour.samples {
		s := &f.hour.samples[i]
		f.each(sel, int32(f.one), s.pod, s.start, func(int64) { out[s.stack] += s.value })
	}
	return out
}

// cpuProfiles calls f with the CPU profiles of a selection.
func (f *fleet) cpuProfiles(sel *profilestore.Selector, call func(p *drawn, time int64)) {
	for i := range f.hour.profiles {
		if p := &f.hour.profiles[i]; p.kind == corpus.KindCPU {
			f.each(sel, p.service, p.pod, p.start, func(time int64) { call(p, time) })
		}
	}
}

// sumsByService returns the CPU samples of whole hours by service and stack.
func (f *fleet) sumsByService(sel *profilestore.Selector) map[string]map[uint64]int64 {
	out := make(map[string]map[uint64]int64)
	for k, v := range f.hour.ByKey {
		if k.Kind != corpus.KindCPU || sel.Service != "" && sel.Service != k.Service {
			continue
		}
		if out[k.Service] == nil {
			out[k.Service] = make(map[uint64]int64)
		}
		out[k.Service][k.Stack] = v * (sel.End - sel.Start) / hour
	}
	return out
}
