package chunkreader

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// syscallSums are the latencies of one system call, with the sets of attributes
// that may say its name.
type syscallSums struct {
	profilestore.SyscallStats
	sets map[proto.UInt128]struct{}
}

func (s *kindSums) addSyscall(key *entryKeyed, f *figures) {
	if s.syscalls == nil {
		s.syscalls = make(map[int64]*syscallSums)
	}
	st := s.syscalls[key.syscall]
	if st == nil {
		st = &syscallSums{sets: make(map[proto.UInt128]struct{})}
		st.Number, st.Min, st.Max = key.syscall, layout.NoMinimum, layout.NoMaximum
		s.syscalls[key.syscall] = st
	}
	if key.set != (proto.UInt128{}) {
		st.sets[key.set] = struct{}{}
	}
	st.Count = profile.AddCount(st.Count, f.count)
	st.Total = profile.Add(st.Total, f.values[0])
	if f.lo <= f.hi {
		st.Min, st.Max = min(st.Min, f.lo), max(st.Max, f.hi)
	}
	st.Histogram[key.bucket] = profile.AddCount(st.Histogram[key.bucket], f.count)
	if key.failed != 0 {
		st.Errors = profile.AddCount(st.Errors, f.count)
	}
}

// stats returns the latencies of a kind, sorted by number. A call has one name,
// whatever kind it is in.
func (s *kindSums) stats(names map[int64]string) []profilestore.SyscallStats {
	if len(s.syscalls) == 0 {
		return nil
	}
	out := make([]profilestore.SyscallStats, 0, len(s.syscalls))
	for _, st := range s.syscalls {
		st.Name = names[st.Number]
		st.Min, st.Max = known(st.Min, st.Max)
		out = append(out, st.SyscallStats)
	}
	slices.SortFunc(out, func(a, b profilestore.SyscallStats) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// names remembers which sets of attributes name which system call. It is safe for
// concurrent use.
type names struct {
	mu   sync.Mutex
	sets map[nameKey]string
}

type nameKey struct {
	tenant string
	set    proto.UInt128
}

// maxNames bounds the sets remembered; all are forgotten when there are more.
const maxNames = 1 << 16

// syscallNames returns the name of each call as producers gave it, the last in
// order of text if there are several.
func (r *Reader) syscallNames(ctx context.Context, tenant string, kinds map[kindKey]*kindSums) (map[int64]string, error) {
	bySet := make(map[proto.UInt128]string)
	var missing proto.ColUInt128
	r.names.mu.Lock()
	for _, k := range kinds {
		for _, st := range k.syscalls {
			for set := range st.sets {
				if _, ok := bySet[set]; ok {
					continue
				}
				name, ok := r.names.sets[nameKey{tenant, set}]
				if bySet[set] = name; !ok {
					missing = append(missing, set)
				}
			}
		}
	}
	r.names.mu.Unlock()
	if err := r.loadNames(ctx, tenant, missing, bySet); err != nil {
		return nil, err
	}
	out := make(map[int64]string)
	for _, k := range kinds {
		for n, st := range k.syscalls {
			for set := range st.sets {
				out[n] = max(out[n], bySet[set])
			}
		}
	}
	return out, nil
}

func (r *Reader) loadNames(ctx context.Context, tenant string, ids proto.ColUInt128, out map[proto.UInt128]string) error {
	if len(ids) == 0 {
		return nil
	}
	var id proto.ColUInt128
	var name proto.ColStr
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT id, labels['" + profile.AttrSyscallName + "'] AS name FROM " + r.opts.Tables.Table("attribute_sets") +
			" WHERE tenant = {tenant:String} AND id IN (SELECT id FROM ids)",
		Result: proto.Results{{Name: "id", Data: &id}, {Name: "name", Data: &name}},
		OnResult: func(context.Context, proto.Block) error {
			r.names.mu.Lock()
			defer r.names.mu.Unlock()
			if len(r.names.sets)+len(id) > maxNames {
				r.names.sets = nil
			}
			if r.names.sets == nil {
				r.names.sets = make(map[nameKey]string)
			}
			for i, v := range id {
				out[v] = name.Row(i)
				r.names.sets[nameKey{tenant, v}] = name.Row(i)
			}
			return nil
		},
		ExternalTables: []ch.ExternalTable{{Name: "ids", Data: proto.Input{{Name: "id", Data: ids}}}},
	}}
	q.Params.String("tenant", tenant)
	if err := r.base.Do(ctx, "syscall_names", q); err != nil {
		return fmt.Errorf("read names of system calls: %w", err)
	}
	return nil
}

// known turns extremes that no observation gave into 0.
func known(lo, hi int64) (int64, int64) {
	if lo > hi {
		return 0, 0
	}
	return lo, hi
}
