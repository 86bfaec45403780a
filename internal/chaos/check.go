package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/pushload"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Counts says what became of requests.
type Counts struct {
	// Acknowledged requests were answered with success, Refused ones with the
	// promise that nothing was taken; nothing is known of Unanswered ones, of which
	// Found are stored.
	Acknowledged, Refused, Unanswered, Found int
}

func (c *Counts) add(o Counts) {
	c.Acknowledged += o.Acknowledged
	c.Refused += o.Refused
	c.Unanswered += o.Unanswered
	c.Found += o.Found
}

// differences collects what is not as it must be.
type differences []string

// mostDifferences bounds the report of one cycle.
const mostDifferences = 20

func (d *differences) add(format string, args ...any) {
	if len(*d) < mostDifferences {
		*d = append(*d, fmt.Sprintf(format, args...))
	}
}

// present checks the table of batches and returns the sums of all requests that
// are in it: those of all tables must be the same. Requests whose agent has the
// prefix are counted.
func present(l *ledger, stored map[batchKey]storedBatch, isNew func(agent string) bool, d *differences) (sums, Counts) {
	want := make(sums)
	var n Counts
	requests := l.snapshot()
	for k, r := range requests {
		b, found := stored[k]
		if found {
			want.addAll(r.sums)
		}
		if isNew(k.agent) {
			switch r.outcome {
			case acknowledged:
				n.Acknowledged++
			case refused:
				n.Refused++
			case unanswered:
				n.Unanswered++
				if found {
					n.Found++
				}
			}
		}
		switch {
		case r.outcome == acknowledged && !found:
			d.add("lost: request %d of %s was acknowledged and is not in batches", k.sequence, k.agent)
		case r.outcome == refused && found:
			d.add("request %d of %s was refused and is in batches", k.sequence, k.agent)
		case found && b.rows != 1:
			d.add("double: request %d of %s is in batches %d times", k.sequence, k.agent, b.rows)
		case found && b.events != r.events:
			d.add("request %d of %s has %d events in batches; sent %d", k.sequence, k.agent, b.events, r.events)
		}
	}
	for k := range stored {
		if requests[k] == nil {
			d.add("batches has request %d of %s, which was never sent", k.sequence, k.agent)
		}
	}
	return want, n
}

// compare reports where two sums differ.
func compare(table string, got, want sums, d *differences) {
	for k, w := range want {
		if g := got[k]; g != w {
			d.add("%s: %s %s lock %#x syscall %d: got %+v; want %+v", table, k.service, k.kind, k.lock, k.syscall, g, w)
		}
	}
	for k, g := range got {
		if _, ok := want[k]; !ok {
			d.add("%s: %s %s lock %#x syscall %d: got %+v; want nothing", table, k.service, k.kind, k.lock, k.syscall, g)
		}
	}
}

// byKind leaves the numbers of observations by service and kind.
func (s sums) byKind() sums {
	out := make(sums)
	for k, v := range s {
		out.add(key{service: k.service, kind: k.kind, syscall: noSyscall}, sum{count: v.count})
	}
	return out
}

// check compares everything that is stored with what was sent. isNew selects the
// agents of this cycle.
func (s *site) check(ctx context.Context, isNew func(agent string) bool) (differences, Counts, error) {
	ep, err := s.endpoint()
	if err != nil {
		return nil, Counts{}, err
	}
	var d differences
	stored, err := readBatches(ctx, ep)
	if err != nil {
		return nil, Counts{}, err
	}
	want, n := present(s.ledger, stored, isNew, &d)
	if err := compareTables(ctx, ep, want, &d); err != nil {
		return nil, Counts{}, err
	}
	if err := s.compareAPI(ctx, want, stored, isNew, &d); err != nil {
		return nil, Counts{}, err
	}
	slices.Sort(d)
	return d, n, nil
}

func compareTables(ctx context.Context, ep chserver.Endpoint, want sums, d *differences) error {
	kinds := want.byKind()
	for _, t := range []struct {
		table, sql string
		want       sums
	}{
		{"chunk_stacks", sqlStacks, want},
		{"chunk_profiles", sqlEvents, kinds},
	} {
		got, err := readSums(ctx, ep, t.sql)
		if err != nil {
			return fmt.Errorf("read %s: %w", t.table, err)
		}
		compare(t.table, got, t.want, d)
	}
	return nil
}

// aggregate is what is compared of the answer of POST /api/aggregate.
type aggregate struct {
	TotalEvents uint64 `json:"total_events"`
	CPU         struct {
		TotalSamples uint64 `json:"total_samples"`
	} `json:"cpu"`
	Lock struct {
		TotalEvents uint64 `json:"total_events"`
		Contentions []struct {
			Lock  uint64 `json:"lock_addr"`
			Count uint64 `json:"count"`
			Total int64  `json:"total_wait_ns"`
		} `json:"contentions"`
	} `json:"lock"`
	Syscall struct {
		TotalEvents uint64 `json:"total_events"`
		Syscalls    map[string]struct {
			Count uint64 `json:"count"`
			Total int64  `json:"total_duration_ns"`
		} `json:"syscalls"`
	} `json:"syscall"`
	OffCPU struct {
		TotalEvents uint64 `json:"total_events"`
		Stacks      []struct {
			Total int64 `json:"total_wait_ns"`
		} `json:"stacks"`
	} `json:"off_cpu"`
}

// sums returns the totals without services.
func (a *aggregate) sums() (sums, error) {
	out := make(sums)
	out.add(key{kind: profile.KindCPU, syscall: noSyscall}, sum{count: a.CPU.TotalSamples})
	out.add(key{kind: profile.KindOffCPU, syscall: noSyscall}, sum{count: a.OffCPU.TotalEvents})
	for _, s := range a.OffCPU.Stacks {
		out.add(key{kind: profile.KindOffCPU, syscall: noSyscall}, sum{v0: s.Total})
	}
	for _, c := range a.Lock.Contentions {
		out.add(key{kind: profile.KindLock, lock: c.Lock, syscall: noSyscall}, sum{count: c.Count, v0: c.Total})
	}
	for number, c := range a.Syscall.Syscalls {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read aggregate: %w", err)
		}
		out.add(key{kind: profile.KindSyscall, syscall: n}, sum{count: c.Count, v0: c.Total})
	}
	return out, nil
}

// mostRows is the most that an answer of the API has (`stacks_cap`): more than enough
// for all locks of an era.
const mostRows = 100_000

// compareAPI compares the sums that the API answers: of everything, which come
// from the totals of rows, and of each agent of this cycle, which do not.
func (s *site) compareAPI(ctx context.Context, want sums, stored map[batchKey]storedBatch, isNew func(agent string) bool, d *differences) error {
	api := pushload.API{Base: "http://" + s.api}
	var all aggregate
	if err := api.Do(ctx, http.MethodPost, "/api/aggregate", map[string]any{"limit": mostRows}, &all); err != nil {
		return err
	}
	got, err := all.sums()
	if err != nil {
		return err
	}
	flat, events := make(sums), uint64(0)
	for k, v := range want {
		k.service = ""
		v.v1 = 0
		if k.kind == profile.KindCPU {
			v.v0 = 0
		}
		flat.add(k, v)
		events += v.count
	}
	compare("/api/aggregate", got, flat, d)
	if all.TotalEvents != events {
		d.add("/api/aggregate: got %d events; want %d", all.TotalEvents, events)
	}
	byAgent := make(map[string]uint64)
	for k, b := range stored {
		if isNew(k.agent) {
			byAgent[k.agent] += b.events
		}
	}
	for agent, want := range byAgent {
		var a aggregate
		if err := api.Do(ctx, http.MethodPost, "/api/aggregate", map[string]any{"agent_id": agent, "limit": 1}, &a); err != nil {
			return err
		}
		if a.TotalEvents != want {
			d.add("/api/aggregate of agent %s: got %d events; want %d", agent, a.TotalEvents, want)
		}
	}
	return nil
}
