package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// contribSums reads the sums out of contrib's table. Its own StackHash covers
// neither lines nor addresses, so stacks are folded and hashed here.
func contribSums(ctx context.Context, s *side) (map[corpus.Key]int64, error) {
	out := make(map[corpus.Key]int64)
	const sql = `SELECT ServiceName, ProfileAttributes['aperture.profile.kind'], SampleType,
		xxHash64(arrayStringConcat(arrayMap((f, l, a) -> concat(f, ':', toString(l), '@', trim(LEADING '0' FROM lower(hex(a)))),
			FunctionNames, LineNumbers, Addresses), ';')) AS stack,
		sum(arraySum(Values))
		FROM contrib.otel_profiles GROUP BY ALL`
	err := benchkit.Query(ctx, s.server.Endpoint(), sql, func(c []string) error {
		stack, err := strconv.ParseUint(c[3], 10, 64)
		if err != nil {
			return err
		}
		v, err := strconv.ParseInt(c[4], 10, 64)
		if err != nil {
			return err
		}
		out[corpus.Key{Service: c[0], Kind: c[1], Type: c[2], Stack: stack}] = v
		return nil
	})
	return out, err
}

// ourSums reads the sums of some services and a range of time through the
// Reader, as queries do.
func ourSums(ctx context.Context, r profilestore.Reader, services []string, start, end time.Time) (map[corpus.Key]int64, error) {
	out := make(map[corpus.Key]int64)
	for _, service := range services {
		m, err := r.MergeStacks(ctx, profilestore.Selector{
			Tenant: profile.DefaultTenant, Service: service, Start: start.UnixNano(), End: end.UnixNano(),
		}, profilestore.MergeOptions{MaxStacks: 10_000_000})
		if err != nil {
			return nil, fmt.Errorf("merge %s: %w", service, err)
		}
		keys := stackKeys(m)
		for i := range m.Kinds {
			k := &m.Kinds[i]
			var totals [profile.MaxTypes]int64
			for _, row := range k.Rows {
				for t, vt := range k.Types {
					totals[t] += row.Values[t]
					if v := row.Values[t]; v != 0 {
						out[corpus.Key{Service: service, Kind: k.Kind, Type: vt.Type, Stack: keys[row.Stack]}] += v
					}
				}
			}
			if totals != k.Totals {
				return nil, fmt.Errorf("merge %s: the rows of kind %s sum to %v, its totals are %v", service, k.Kind, totals, k.Totals)
			}
		}
	}
	return out, nil
}

// stackKeys returns the generator's key of each stack of a merge.
func stackKeys(m *profilestore.Merge) []uint64 {
	keys := make([]uint64, len(m.Stacks))
	var folded []byte
	for i, st := range m.Stacks {
		folded = folded[:0]
		for j, f := range st.Frames {
			if j > 0 {
				folded = append(folded, ';')
			}
			folded = corpus.AppendFrame(folded, f.Function.Name, f.Line, f.Address)
		}
		keys[i] = corpus.StackKey(folded)
	}
	return keys
}
