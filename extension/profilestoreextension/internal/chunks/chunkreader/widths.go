package chunkreader

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// widths remembers how many types the rows of a selector have had at most. It is
// safe for concurrent use.
type widths struct {
	mu sync.Mutex
	by map[string]int
}

// maxWidths bounds the selectors remembered; all are forgotten when there are more.
const maxWidths = 4096

// widthKey names a selector, its time and series left out.
func (s *scan) widthKey() string {
	b := profile.AppendString(nil, s.tenant)
	b = profile.AppendString(b, s.service)
	return string(b) + s.kinds + strings.Join(s.kindNames, "\x00")
}

func (w *widths) get(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.by[key]; n > 0 {
		return n
	}
	return profile.MaxTypes
}

// put remembers a number, 0 for none.
func (w *widths) put(key string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil || len(w.by) >= maxWidths {
		w.by = make(map[string]int)
	}
	if n > 0 {
		w.by[key] = n
	}
}

// typeCount finds out how many types rows have at most. It is safe for concurrent
// use.
type typeCount struct {
	limit int // of what is read
	most  atomic.Int32
}

// see takes the types of a row. It returns an error if they are more than the
// limit.
func (t *typeCount) see(types string) error {
	n := strings.Count(types, ",") + 1
	if n > t.limit && t.limit < profile.MaxTypes {
		return errTypes
	}
	for most := t.most.Load(); int32(n) > most && !t.most.CompareAndSwap(most, int32(n)); {
		most = t.most.Load()
	}
	return nil
}
