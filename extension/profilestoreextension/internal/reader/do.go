package reader

import (
	"context"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// grace is how much longer than its time limit a query is waited for: the
// server checks the limit between blocks.
const grace = 2 * time.Second

// Do runs one query within the limits. name is for OnQuery and traces.
func (r *Reader) Do(ctx context.Context, name string, q chconn.Query) error {
	begin := time.Now()
	l := r.limits(ctx)
	q.Timeout = l.MaxExecutionTime + grace
	q.Settings = append([]ch.Setting{
		chconn.SettingInt("max_execution_time", int64((l.MaxExecutionTime+time.Second-1)/time.Second)),
		chconn.SettingInt("max_memory_usage", l.MaxMemoryUsage),
		chconn.SettingInt("max_result_rows", l.MaxRows),
		chconn.Setting("result_overflow_mode", "throw"),
		chconn.Setting("enable_unaligned_array_join", "1"),
	}, q.Settings...)
	ctx, step := profilestore.StartStep(ctx, name)
	if step != nil {
		traced(step, &q)
	} else {
		// Packets with the server's counters, which nobody looks at, are a tenth of
		// what a small query costs. Servers that do not know the setting send them.
		q.Settings = append(q.Settings, ch.Setting{Key: "send_profile_events", Value: "0"})
	}
	err := r.pool.Do(ctx, q)
	step.End(err)
	if r.opts.OnQuery != nil {
		r.opts.OnQuery(ctx, name, time.Since(begin), err)
	}
	return err
}

// traced has a query tell what it takes.
func traced(step *profilestore.Step, q *chconn.Query) {
	q.QueryID = chconn.NewQueryID()
	step.Query(q.QueryID, q.Body)
	q.OnProgress = func(_ context.Context, p proto.Progress) error {
		step.Add("rows_read", int64(p.Rows))
		step.Add("bytes_read", int64(p.Bytes))
		step.Add("clickhouse_elapsed_us", int64(p.ElapsedNs/1000))
		return nil
	}
	inner := q.OnProfile
	q.OnProfile = func(ctx context.Context, p proto.Profile) error {
		step.Add("result_rows", int64(p.Rows))
		step.Add("result_bytes", int64(p.Bytes))
		if inner != nil {
			return inner(ctx, p)
		}
		return nil
	}
	memory := int64(0)
	q.OnProfileEvents = func(_ context.Context, events []ch.ProfileEvent) error {
		for _, e := range events {
			switch e.Name {
			case "MemoryTrackerPeakUsage":
				step.Add("memory_bytes", max(0, e.Value-memory))
				memory = max(memory, e.Value)
			case "UserTimeMicroseconds", "SystemTimeMicroseconds":
				step.Add("cpu_us", e.Value)
			}
		}
		return nil
	}
}
