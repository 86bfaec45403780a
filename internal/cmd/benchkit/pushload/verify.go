package pushload

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// aggregate is what this program reads of the answer of /api/aggregate.
type aggregate struct {
	TotalEvents uint64 `json:"total_events"`
	CPU         struct {
		TotalSamples uint64 `json:"total_samples"`
	} `json:"cpu"`
	Lock struct {
		TotalEvents uint64 `json:"total_events"`
	} `json:"lock"`
	Syscall struct {
		TotalEvents uint64 `json:"total_events"`
		Syscalls    map[uint32]struct {
			Count           uint64 `json:"count"`
			TotalDurationNS uint64 `json:"total_duration_ns"`
			ErrorCount      uint64 `json:"error_count"`
		} `json:"syscalls"`
	} `json:"syscall"`
}

// API is the Aperture API over HTTP.
type API struct {
	// Base is its URL.
	Base string
	// Start and End bound the times of what was pushed.
	Start, End time.Time
}

// Do sends a request, with body as JSON unless it is nil, and reads the JSON of
// the answer, which must be 200, into into.
func (a *API) Do(ctx context.Context, method, path string, body, into any) error {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.Base+path, reader)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("%s %s: status %s: %s", method, path, resp.Status, text)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (a *API) aggregate(ctx context.Context) (*aggregate, error) {
	out := new(aggregate)
	return out, a.Do(ctx, http.MethodPost, "/api/aggregate", map[string]any{
		"time_start_ns": a.Start.UnixNano(), "time_end_ns": a.End.UnixNano(), "limit": 100,
	}, out)
}

// WaitStored waits until at least as many events as were acknowledged can be
// read, and returns how long that took.
func (a *API) WaitStored(ctx context.Context, events uint64) (time.Duration, error) {
	start := time.Now()
	for {
		got, err := a.aggregate(ctx)
		if err == nil && got.TotalEvents >= events {
			return time.Since(start), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait until %d events are stored: there are %d (%w)", events, got.TotalEvents, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// Check compares all that can be read with what was acknowledged.
func (a *API) Check(ctx context.Context, agents []*Agent, want *Expect) error {
	got, err := a.aggregate(ctx)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"events", got.TotalEvents, want.Events()},
		{"CPU samples", got.CPU.TotalSamples, want.CPU},
		{"lock waits", got.Lock.TotalEvents, want.Locks},
	} {
		if c.got != c.want {
			return fmt.Errorf("/api/aggregate has %d %s; %d were acknowledged", c.got, c.what, c.want)
		}
	}
	for number, duration := range want.SyscallTime {
		s := got.Syscall.Syscalls[number]
		if s.TotalDurationNS != duration || s.ErrorCount != want.SyscallErrors[number] {
			return fmt.Errorf("/api/aggregate has %d ns and %d errors of system call %d; %d ns and %d errors were acknowledged",
				s.TotalDurationNS, s.ErrorCount, number, duration, want.SyscallErrors[number])
		}
	}
	for _, ag := range agents {
		if err := a.checkBatches(ctx, ag); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) checkBatches(ctx context.Context, ag *Agent) error {
	var got struct {
		Batches []struct {
			Sequence   uint64 `json:"sequence"`
			EventCount uint64 `json:"event_count"`
		} `json:"batches"`
	}
	if err := a.Do(ctx, http.MethodGet, "/api/batches?limit=1000&agent_id="+url.QueryEscape(ag.ID), nil, &got); err != nil {
		return err
	}
	seen := make(map[uint64]bool, len(got.Batches))
	var events uint64
	for _, b := range got.Batches {
		if seen[b.Sequence] || b.Sequence == 0 || b.Sequence > ag.Pushes {
			return fmt.Errorf("/api/batches has batch %d of %s twice or although it was not acknowledged", b.Sequence, ag.ID)
		}
		seen[b.Sequence] = true
		events += b.EventCount
	}
	if uint64(len(seen)) != ag.Pushes || events != ag.Expect.Events() {
		return fmt.Errorf("/api/batches has %d batches with %d events of %s; %d with %d were acknowledged",
			len(seen), events, ag.ID, ag.Pushes, ag.Expect.Events())
	}
	return nil
}
