package pyroscopereceiver

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/ingest"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/pyrotenant"
)

const (
	// maxTenants bounds the tenants whose pushes are remembered.
	maxTenants = 16 << 10
	// activeFor is how long a series counts after its last profile.
	activeFor = time.Hour
	// sweepEvery bounds how often a tenant's series are looked through.
	sweepEvery = 10 * time.Second
)

// tenants keeps the tenants to their limits. It is safe for concurrent use.
type tenants struct {
	cfg *Config

	mu  sync.Mutex
	all *lru.Cache[string, *tenantState]
}

// tenantState is what is remembered of a tenant.
type tenantState struct {
	limits *LimitsConfig
	ingest *ingest.Limits

	mu     sync.Mutex
	room   float64 // bytes that may come now; less than 0 after a large profile
	filled time.Time
	series map[ingest.SeriesID]int64 // Unix seconds of the last profile
	swept  time.Time
}

func newTenants(cfg *Config) *tenants {
	all, _ := lru.New[string, *tenantState](maxTenants) // fails only without room
	return &tenants{cfg: cfg, all: all}
}

// of returns the state of a tenant.
func (t *tenants) of(name string, now time.Time) *tenantState {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, ok := t.all.Get(name); ok {
		return s
	}
	limits, ok := t.cfg.Overrides[name]
	if !ok {
		limits = t.cfg.Limits
	}
	s := &tenantState{
		limits: &limits, ingest: limits.ingest(),
		room: float64(limits.IngestionBurst), filled: now, series: make(map[ingest.SeriesID]int64), swept: now,
	}
	t.all.Add(name, s)
	return s
}

// admit takes so many bytes of profiles of these series, or returns a refusal.
func (s *tenantState) admit(size int64, series []ingest.SeriesID, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkSeries(series, now); err != nil {
		return err
	}
	if err := s.take(size, now); err != nil {
		return err
	}
	for _, id := range series {
		s.series[id] = now.Unix()
	}
	return nil
}

// checkSeries fails if there are too many series with these.
func (s *tenantState) checkSeries(series []ingest.SeriesID, now time.Time) error {
	most := s.limits.MaxSeries
	if most <= 0 {
		clear(s.series)
		return nil
	}
	added := 0
	for _, id := range series {
		if _, ok := s.series[id]; !ok {
			added++
		}
	}
	if len(s.series)+added > most && now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		for id, last := range s.series {
			if now.Unix()-last >= int64(activeFor/time.Second) {
				delete(s.series, id)
			}
		}
	}
	if n := len(s.series); n+added > most {
		return tooMany("series", sweepEvery, "maximum active series limit exceeded (%d/%d): the request has %d new series, try to have fewer labels or values of labels", n, most, added)
	}
	return nil
}

// take takes bytes from what may come now. A profile that is larger than what may come
// at once is taken when that is there, and those after it wait the longer.
func (s *tenantState) take(size int64, now time.Time) error {
	rate, burst := float64(s.limits.IngestionRate), float64(s.limits.IngestionBurst)
	if rate <= 0 {
		return nil
	}
	s.room = min(s.room+rate*max(now.Sub(s.filled).Seconds(), 0), burst)
	s.filled = now
	if need := min(float64(size), burst); s.room < need {
		wait := time.Duration((need - s.room) / rate * float64(time.Second))
		return tooMany("rate", max(wait, time.Second), "push rate limit (%s) exceeded while adding %s", humanSize(s.limits.IngestionRate), humanSize(size))
	}
	s.room -= float64(size)
	return nil
}

// giveBack makes room again for bytes that were not taken in the end.
func (s *tenantState) giveBack(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room += float64(size) // take bounds it
}

func tooMany(reason string, after time.Duration, format string, args ...any) error {
	return &pyrotenant.Error{
		Status: http.StatusTooManyRequests, Code: connect.CodeResourceExhausted, Reason: reason,
		Message: fmt.Sprintf(format, args...), RetryAfter: after,
	}
}

// humanSize returns a size as people read it.
func humanSize(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}
