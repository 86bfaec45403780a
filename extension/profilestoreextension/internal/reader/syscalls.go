package reader

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// syscalls reads the latencies of system calls by kind, sorted by number.
func (r *Reader) syscalls(ctx context.Context, s *scan) (map[kindKey][]profilestore.SyscallStats, error) {
	var stats map[kindKey]map[int64]*profilestore.SyscallStats
	var names map[int64]string
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		stats, err = r.syscallStats(ctx, s)
		return err
	})
	g.Go(func() (err error) {
		names, err = r.syscallNames(ctx, s)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := make(map[kindKey][]profilestore.SyscallStats, len(stats))
	for key, byNumber := range stats {
		list := make([]profilestore.SyscallStats, 0, len(byNumber))
		for n, st := range byNumber {
			st.Name = names[n]
			st.Min, st.Max = known(st.Min, st.Max)
			list = append(list, *st)
		}
		slices.SortFunc(list, func(a, b profilestore.SyscallStats) int { return cmp.Compare(a.Number, b.Number) })
		out[key] = list
	}
	return out, nil
}

func (r *Reader) syscallStats(ctx context.Context, s *scan) (map[kindKey]map[int64]*profilestore.SyscallStats, error) {
	var key proto.ColUInt64
	var number, lo, hi proto.ColInt64
	var count, total proto.ColInt128
	var bucket, failed proto.ColUInt8
	out := make(map[kindKey]map[int64]*profilestore.SyscallStats)
	q := chconn.Query{Params: s.params, Query: ch.Query{
		Body: "SELECT k, syscall, bucket, error, " + sumOf("c") + " AS cs, " + sumOf("y0") + " AS s0, min(lo) AS los, max(hi) AS his FROM (" +
			r.source(s, columns{kind: true, syscall: true, syscallsOnly: true, bounds: true, values: 1}) + ") GROUP BY k, syscall, bucket, error",
		Result: proto.Results{
			{Name: "k", Data: &key},
			{Name: "syscall", Data: &number},
			{Name: "bucket", Data: &bucket},
			{Name: "error", Data: &failed},
			{Name: "cs", Data: &count},
			{Name: "s0", Data: &total},
			{Name: "los", Data: &lo},
			{Name: "his", Data: &hi},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range key {
				byNumber := out[kindKey(key[i])]
				if byNumber == nil {
					byNumber = make(map[int64]*profilestore.SyscallStats)
					out[kindKey(key[i])] = byNumber
				}
				st := byNumber[number[i]]
				if st == nil {
					st = &profilestore.SyscallStats{Number: number[i], Min: layout.NoMinimum, Max: layout.NoMaximum}
					byNumber[number[i]] = st
				}
				n := count64(count[i])
				st.Count = profile.AddCount(st.Count, n)
				st.Total = profile.Add(st.Total, sum64(total[i]))
				st.Min, st.Max = min(st.Min, lo[i]), max(st.Max, hi[i])
				in := &st.Histogram[min(int(bucket[i]), profile.LatencyBuckets-1)]
				*in = profile.AddCount(*in, n)
				if failed[i] != 0 {
					st.Errors = profile.AddCount(st.Errors, n)
				}
			}
			return nil
		},
	}}
	if err := r.Do(ctx, "syscalls", q); err != nil {
		return nil, fmt.Errorf("read system calls: %w", err)
	}
	return out, nil
}

// syscallNames reads the names that producers gave. They are kept with the
// hourly totals only; the hours at both ends of the time may add names of
// calls that are not asked for, which does no harm.
func (r *Reader) syscallNames(ctx context.Context, s *scan) (map[int64]string, error) {
	var number proto.ColInt64
	var name proto.ColStr
	out := make(map[int64]string)
	q := chconn.Query{Params: s.params, Query: ch.Query{
		Body: "SELECT syscall, max(toString(syscall_name)) AS name FROM " + r.opts.Tables.Table("stack_hours") +
			" WHERE " + s.filter + " AND " + s.names + " AND syscall >= 0 GROUP BY syscall",
		Result: proto.Results{{Name: "syscall", Data: &number}, {Name: "name", Data: &name}},
		OnResult: func(context.Context, proto.Block) error {
			for i := range number {
				out[number[i]] = name.Row(i)
			}
			return nil
		},
	}}
	if err := r.Do(ctx, "syscall_names", q); err != nil {
		return nil, fmt.Errorf("read names of system calls: %w", err)
	}
	return out, nil
}
