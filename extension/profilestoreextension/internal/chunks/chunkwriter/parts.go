package chunkwriter

import (
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// part is what becomes the rows of one key.
type part struct {
	key    chunkrow.Key
	types  int
	groups []*profile.Group
}

// groupKey is chunkrow.Key before types are written as text.
type groupKey struct {
	tenant, service, kind string
	n                     int
	types                 [profile.MaxTypes]profile.ValueType
	periodType            profile.ValueType
	period, hour          int64
}

// parts are the groups of a window by key.
type parts struct {
	numbers map[groupKey]int32
	list    []part // in order of keys; those beyond its length keep their memory
}

func newParts() parts { return parts{numbers: make(map[groupKey]int32)} }

// reset forgets the window.
func (p *parts) reset() {
	clear(p.numbers)
	for i := range p.list {
		clear(p.list[i].groups)
		p.list[i].key, p.list[i].groups = chunkrow.Key{}, p.list[i].groups[:0]
	}
	p.list = p.list[:0]
}

func (p *parts) fill(groups []*profile.Group) {
	for _, g := range groups {
		if len(g.Entries) > 0 {
			at := p.number(g)
			p.list[at].groups = append(p.list[at].groups, g)
		}
	}
	slices.SortFunc(p.list, func(a, b part) int { return a.key.Compare(&b.key) })
}

// number returns the place of the part that g belongs to.
func (p *parts) number(g *profile.Group) int32 {
	k := groupKey{
		tenant: g.Series.Tenant, service: g.Series.Service, kind: g.Kind, n: len(g.Types),
		periodType: g.PeriodType, period: g.Period, hour: g.Start / layout.Hour,
	}
	copy(k.types[:], g.Types)
	if n, ok := p.numbers[k]; ok {
		return n
	}
	n := len(p.list)
	p.numbers[k] = int32(n)
	if n == cap(p.list) {
		p.list = append(p.list, part{})
	} else {
		p.list = p.list[:n+1]
	}
	to := &p.list[n]
	to.types = len(g.Types)
	to.key = chunkrow.Key{
		Tenant: k.tenant, Service: k.service, Kind: k.kind, Types: layout.EncodeTypes(g.Types),
		PeriodType: layout.EncodeType(g.PeriodType), Period: g.Period, Hour: k.hour * 3600,
	}
	return int32(n)
}

// references collects what the parts refer to, every stack of a service once.
type references struct {
	stacks, attributes []uint32 // the service that had them last, by index; from 1
	service            uint32
}

func (r *references) collect(to *writer.References, d *profile.Dictionary, list []part) {
	r.stacks, r.attributes, r.service = cleared(r.stacks, len(d.Stacks)), cleared(r.attributes, len(d.Attributes)), 0
	for i := range list {
		p := &list[i]
		if i == 0 || p.key.Tenant != list[i-1].key.Tenant || p.key.Service != list[i-1].key.Service {
			r.service++
		}
		var last *profile.Series
		for _, g := range p.groups {
			if g.Series != last {
				to.Series(g.Series)
				last = g.Series
			}
			for j := range g.Entries {
				e := &g.Entries[j]
				if r.stacks[e.Stack] != r.service {
					r.stacks[e.Stack] = r.service
					to.Stack(g.Series, d, e.Stack)
				}
				if e.Attrs != 0 && r.attributes[e.Attrs] != r.service {
					r.attributes[e.Attrs] = r.service
					to.Set(g.Series.Tenant, &d.Attributes[e.Attrs])
				}
			}
		}
	}
}

// cleared returns a slice of n zeros.
func cleared[T any](s []T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}
