package reader

import (
	"context"
	"fmt"
	"sync"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Stacks resolves stacks by their content hash. It is safe for concurrent use:
// a stack that several queries ask for at once is read once.
type Stacks struct {
	load func(ctx context.Context, tenant, service string, ids []profile.ID, s *Stacks) (map[profile.ID][]*profile.Frame, error)

	mu      sync.Mutex
	stacks  *generations[[]*profile.Frame]
	frames  *generations[*profile.Frame]
	flights map[profile.ID]*flight
	stats   CacheStats
}

// CacheStats counts what the cache did since the start.
type CacheStats struct {
	// Hits and Misses count stacks, or merges; Absent stacks that the store does
	// not have.
	Hits, Misses, Absent int64
	// Bytes is what the cache holds now.
	Bytes int64
}

// flight is one read of stacks that others wait for.
type flight struct {
	done  chan struct{}
	found map[profile.ID][]*profile.Frame // by cache key
	err   error
}

func newStacks(budget int64) *Stacks {
	return &Stacks{
		// Frames are shared by many stacks; a quarter of the budget for them was
		// enough for every mix of services measured.
		stacks: newGenerations(budget/4*3, func(f []*profile.Frame) int64 { return int64(len(f)) * 8 }),
		frames: newGenerations(budget/4, func(f *profile.Frame) int64 {
			return int64(200 + len(f.Function.Name) + len(f.Function.SystemName) + len(f.Function.Filename) + len(f.Mapping) + len(f.BuildID))
		}),
		flights: make(map[profile.ID]*flight),
		load:    nil,
	}
}

// Stats returns a snapshot of the counters.
func (s *Stacks) Stats() CacheStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Bytes = s.stacks.bytes() + s.frames.bytes()
	return out
}

// Clear empties the cache.
func (s *Stacks) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stacks.clear()
	s.frames.clear()
}

// Resolve returns the frames of each stack, leaf first. service may be empty.
// The zero ID has no frames, nor has a stack that the store does not know.
func (s *Stacks) Resolve(ctx context.Context, tenant, service string, ids []profile.ID) ([][]*profile.Frame, error) {
	out := make([][]*profile.Frame, len(ids))
	scope := ScopeOf(tenant)
	open := make([]int32, 0, len(ids))
	for i, id := range ids {
		if !id.IsZero() {
			open = append(open, int32(i))
		}
	}
	for first := true; len(open) > 0; first = false {
		mine, others := s.claim(scope, ids, open, out, first)
		if mine != nil {
			s.fly(ctx, scope, tenant, service, mine)
			if mine.err != nil {
				return nil, mine.err
			}
			others = append(others, mine.flight)
		}
		left := open[:0]
		for _, f := range others {
			select {
			case <-f.done:
			case <-ctx.Done():
				return nil, fmt.Errorf("resolve stacks: %w", context.Cause(ctx))
			}
		}
		// A stack that is in none of these flights, or in one that failed for its
		// own caller, is tried again.
		for _, i := range open {
			if out[i] != nil {
				continue
			}
			key := scope.Key(ids[i])
			done := false
			for _, f := range others {
				if f.err != nil {
					continue
				}
				if frames, ok := f.found[key]; ok {
					out[i], done = frames, true
					break
				}
			}
			if !done {
				left = append(left, i)
			}
		}
		open = left
	}
	return out, nil
}

// claimed is what a caller of Resolve has to read itself.
type claimed struct {
	*flight
	ids []profile.ID
}

// claim fills out from the cache, and for what is not there finds the flight
// that will bring it or makes one.
func (s *Stacks) claim(scope Scope, ids []profile.ID, open []int32, out [][]*profile.Frame, first bool) (mine *claimed, others []*flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last *flight
	for _, i := range open {
		key := scope.Key(ids[i])
		if frames, ok := s.stacks.get(key); ok {
			out[i] = frames
			if first {
				s.stats.Hits++
			}
			continue
		}
		if first {
			s.stats.Misses++
		}
		if f, ok := s.flights[key]; ok {
			if f != last && (mine == nil || f != mine.flight) {
				others = append(others, f)
				last = f
			}
			continue
		}
		if mine == nil {
			mine = &claimed{flight: &flight{done: make(chan struct{})}}
		}
		mine.ids = append(mine.ids, ids[i])
		s.flights[key] = mine.flight
	}
	return mine, others
}

// fly reads what was claimed and lands the flight, also when it fails.
func (s *Stacks) fly(ctx context.Context, scope Scope, tenant, service string, c *claimed) {
	found, err := s.load(ctx, tenant, service, c.ids, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.err = err
	c.found = make(map[profile.ID][]*profile.Frame, len(c.ids))
	for _, id := range c.ids {
		key := scope.Key(id)
		delete(s.flights, key)
		if err != nil {
			continue
		}
		frames, ok := found[id]
		c.found[key] = frames
		if ok {
			s.stacks.put(key, frames)
		} else {
			s.stats.Absent++
		}
	}
	close(c.done)
}

// cachedFrames fills found with the frames that are cached and returns the rest.
func (s *Stacks) cachedFrames(tenant string, ids []profile.ID, found map[profile.ID]*profile.Frame) (missing []profile.ID) {
	scope := ScopeOf(tenant)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if f, ok := s.frames.get(scope.Key(id)); ok {
			found[id] = f
		} else {
			missing = append(missing, id)
		}
	}
	return missing
}

func (s *Stacks) cacheFrames(tenant string, ids []profile.ID, found map[profile.ID]*profile.Frame) {
	scope := ScopeOf(tenant)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if f, ok := found[id]; ok {
			s.frames.put(scope.Key(id), f)
		}
	}
}
