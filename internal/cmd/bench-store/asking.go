package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// allRows is more than there are stacks.
const allRows = 10_000_000

// check asks every query once in this process and compares the answers with what
// was drawn, and so all sums of the hour and of what came as pprof.
func (b *bench) check(ctx context.Context) (err error) {
	ops, err := b.selected()
	if err != nil {
		return err
	}
	st, err := openStore(ctx, b.server.Endpoint(), allRows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close(ctx)) }()
	config := b.fleet.corpus.Config()
	day := config.Start.Add(24 * time.Hour)
	for _, part := range []struct {
		facts *facts
		start time.Time
	}{{b.fleet.hour, config.Start}, {b.fleet.pprof, day}} {
		got, err := b.allSums(ctx, st, part.start)
		if err != nil {
			return err
		}
		if err := part.facts.Compare(got); err != nil {
			return fmt.Errorf("%w: %w", errNotEqual, err)
		}
	}
	q := newQueries(st)
	for _, o := range ops {
		a, err := q.run(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
		all, err := a, error(nil)
		if len(a.merges) > 0 {
			whole := *o
			whole.Rows = allRows
			if all, err = q.run(ctx, &whole); err != nil {
				return fmt.Errorf("%s: %w", o.Name, err)
			}
		}
		if err := b.fleet.verify(o, &a, &all); err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
		o.Want = a.digest()
		b.report.queries = append(b.report.queries, &measured{op: o})
	}
	return nil
}

// allSums reads the sums of all services, kinds and types of an hour.
func (b *bench) allSums(ctx context.Context, r profilestore.Reader, start time.Time) (map[corpus.Key]int64, error) {
	out := make(map[corpus.Key]int64)
	for i := range b.fleet.corpus.Config().Services {
		service := b.fleet.corpus.Service(i)
		m, err := r.MergeStacks(ctx, profilestore.Selector{
			Tenant: profile.DefaultTenant, Service: service, Start: start.UnixNano(), End: start.Add(time.Hour).UnixNano(),
		}, profilestore.MergeOptions{MaxStacks: allRows})
		if err != nil {
			return nil, fmt.Errorf("merge %s: %w", service, err)
		}
		keys := stackKeys(m)
		for j := range m.Kinds {
			k := &m.Kinds[j]
			for _, row := range k.Rows {
				for t, vt := range k.Types {
					if v := row.Values[t]; v != 0 {
						out[corpus.Key{Service: service, Kind: k.Kind, Type: vt.Type, Stack: keys[row.Stack]}] += v
					}
				}
			}
		}
	}
	return out, nil
}

// measured are the times of a query, of each round.
type measured struct {
	op *op
	// cold has one time of each round.
	cold []time.Duration
	// alone is by 1 and 4 clients, beside by 16 beside ingestion.
	alone, four, beside []percentiles
}

// percentiles are those of one round.
type percentiles struct {
	p50, p99 time.Duration
	n        int
}

// ask measures one round.
func (b *bench) ask(o *op, clients, least int, each time.Duration) (percentiles, error) {
	r, err := b.worker.call(call{Query: &queryCall{Op: *o, Clients: clients, Min: least, For: each}})
	if err != nil {
		return percentiles{}, err
	}
	return percentiles{benchkit.Percentile(r.Times, 50), benchkit.Percentile(r.Times, 99), len(r.Times)}, nil
}

// cold asks each query of a store that has just been opened.
func (b *bench) cold(ctx context.Context) error {
	for _, m := range b.report.queries {
		for range b.rounds {
			for _, cache := range []string{"MARK", "UNCOMPRESSED", "PRIMARY INDEX", "QUERY CONDITION"} {
				if err := b.sql(ctx, "SYSTEM DROP %s CACHE", cache); err != nil {
					return err
				}
			}
			if err := b.open(); err != nil {
				return err
			}
			p, err := b.ask(m.op, 1, 1, 0)
			if err != nil {
				return err
			}
			m.cold = append(m.cold, p.p50)
		}
	}
	return nil
}

// alone asks with nothing beside.
func (b *bench) alone(context.Context) error {
	if _, err := b.worker.call(call{ResetPeak: true}); err != nil {
		return err
	}
	for _, m := range b.report.queries {
		if _, err := b.ask(m.op, 1, 2, 0); err != nil { // it is warm then
			return err
		}
		for range b.rounds {
			one, err := b.ask(m.op, 1, 3, b.each)
			if err != nil {
				return err
			}
			four, err := b.ask(m.op, 4, 3, b.each)
			if err != nil {
				return err
			}
			m.alone, m.four = append(m.alone, one), append(m.four, four)
		}
	}
	return b.peak("queries")
}

// clientsBeside ask while windows are stored.
const clientsBeside = 16

// beside asks while windows are stored, whose sums are compared afterwards.
func (b *bench) beside(ctx context.Context) (err error) {
	f := b.fleet.beside
	every := time.Duration(float64(interval) / b.factor)
	if _, err := b.worker.call(call{Beside: &besideCall{Dir: b.path("beside"), Windows: f.windows, Every: every}}); err != nil {
		return err
	}
	begin := time.Now()
	for range b.rounds {
		for _, m := range b.report.queries {
			p, err := b.ask(m.op, clientsBeside, 1, b.each)
			if err != nil {
				return err
			}
			m.beside = append(m.beside, p)
		}
	}
	took := time.Since(begin)
	r, err := b.worker.call(call{Beside: &besideCall{}})
	if err != nil {
		return err
	}
	if err := b.peak("queries beside ingestion"); err != nil {
		return err
	}
	var want int64
	windows := 0
	for i, n := range r.Stored {
		want += int64(n) * f.cpu[i]
		windows += n
	}
	b.report.besideRate = float64(f.Values) / float64(f.windows) * float64(windows) / took.Seconds()
	return b.checkBeside(ctx, want)
}

// checkBeside compares the sum of what was stored beside queries.
func (b *bench) checkBeside(ctx context.Context, want int64) (err error) {
	st, err := openStore(ctx, b.server.Endpoint(), 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close(ctx)) }()
	start := b.fleet.start + 25*hour
	m, err := st.MergeStacks(ctx, profilestore.Selector{
		Tenant: profile.DefaultTenant, Kinds: []string{corpus.KindCPU}, Start: start, End: start + hour,
	}, profilestore.MergeOptions{MaxStacks: 1})
	if err != nil {
		return err
	}
	if len(m.Kinds) != 1 {
		return fmt.Errorf("%w: %d kinds instead of 1", errNotEqual, len(m.Kinds))
	}
	return equal("CPU samples stored beside queries", m.Kinds[0].Totals[0], want)
}

// median of the rounds.
func medianOf(list []percentiles) (out percentiles) {
	var p50, p99 []time.Duration
	for _, p := range list {
		p50, p99 = append(p50, p.p50), append(p99, p.p99)
		out.n += p.n
	}
	slices.Sort(p50)
	slices.Sort(p99)
	out.p50, out.p99 = benchkit.Percentile(p50, 50), benchkit.Percentile(p99, 50)
	return out
}
