package reader

import (
	"strings"
	"sync"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// guesses remembers which kinds a selector had the last time. The query for the
// rows can then run beside the one for the kinds instead of after it; its answer
// is used only if the kinds turn out to be as guessed.
type guesses struct {
	mu sync.Mutex
	by map[string][]guess
}

// guess is what the query for the rows depends on.
type guess struct {
	key        kindKey
	kind       string
	types      string
	values     int
	countsOnly bool
}

// maxGuesses bounds the selectors remembered; all are forgotten when there are
// more.
const maxGuesses = 1024

// guessName names a selector, its time and series left out.
func guessName(sel profilestore.Selector) string {
	b := profile.AppendString(nil, sel.Tenant)
	b = profile.AppendString(b, sel.Service)
	b = profile.AppendString(b, strings.Join(sel.Kinds, "\x00"))
	return string(b)
}

// kinds returns the kinds that were remembered, nil if there are none.
func (g *guesses) kinds(name string) map[kindKey]*kindInfo {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.by[name]
	if known == nil {
		return nil
	}
	out := make(map[kindKey]*kindInfo, len(known))
	for _, k := range known {
		info := &kindInfo{types: k.types, countsOnly: k.countsOnly}
		info.Kind, info.Types = k.kind, make([]profile.ValueType, k.values)
		out[k.key] = info
	}
	return out
}

func (g *guesses) remember(name string, kinds map[kindKey]*kindInfo) {
	list := make([]guess, 0, len(kinds))
	for key, k := range kinds {
		list = append(list, guess{key, k.Kind, k.types, len(k.Types), k.countsOnly})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil || len(g.by) >= maxGuesses {
		g.by = make(map[string][]guess)
	}
	g.by[name] = list
}

// confirms takes the rows over from guessed kinds. It reports false, and changes
// nothing, if the query for them would have been another one.
func confirms(kinds, guessed map[kindKey]*kindInfo) bool {
	if len(kinds) != len(guessed) {
		return false
	}
	for key, k := range kinds {
		g := guessed[key]
		if g == nil || g.Kind != k.Kind || g.types != k.types || g.countsOnly != k.countsOnly {
			return false
		}
	}
	for key, k := range kinds {
		k.rows = guessed[key].rows
	}
	return true
}
