package chunkreader

import (
	"context"
	"fmt"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// tenantBook is a dictionary.
type tenantBook struct {
	tenant string
	bookKey
}

// bookFunctions are the functions of a dictionary, as far as it was learned.
type bookFunctions struct {
	locations []uint32 // the number of the function of each
	nodes     []uint32 // of each node, with the bits again and lost
	// lost is true if some location has no frame, which may come: that is not
	// remembered.
	lost bool
}

// stackTree is what is learned of a [stackdict.Dictionary].
type stackTree interface {
	Parents() []uint32
	NodeLocations() []uint32
	LocationIDs() []profile.ID
}

// framesOf reads the frames of locations.
type framesOf func(ctx context.Context, tenant string, locations []profile.ID) (map[profile.ID]*profile.Frame, error)

// book returns the tree of a dictionary. budget bounds what is remembered.
func (p *callPaths) book(ctx context.Context, key tenantBook, d stackTree, frames framesOf, budget int64) (tree, error) {
	if b := p.knownBook(key); b != nil && len(b.nodes) >= len(d.Parents()) {
		return tree{d.Parents(), b.nodes[:len(d.Parents())]}, nil
	}
	select {
	case p.learning <- struct{}{}:
		defer func() { <-p.learning }()
	case <-ctx.Done():
		return tree{}, fmt.Errorf("wait for names of functions: %w", context.Cause(ctx))
	}
	b := new(bookFunctions)
	if known := p.knownBook(key); known != nil {
		*b = *known
	}
	ids := d.LocationIDs()
	for len(b.locations) < len(ids) {
		part := ids[len(b.locations):min(len(ids), len(b.locations)+resolveAtOnce)]
		found, err := frames(ctx, key.tenant, part)
		if err != nil {
			return tree{}, err
		}
		p.name(b, part, found)
	}
	b.grow(d)
	if b.lost {
		// Whoever learns it next appends to what is remembered, in the same memory.
		b.nodes = slices.Clone(b.nodes)
	} else {
		p.remember(key, b, budget)
	}
	return tree{d.Parents(), b.nodes[:len(d.Parents())]}, nil
}

func (p *callPaths) knownBook(key tenantBook) *bookFunctions {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.books[key]
}

// name appends the functions of locations.
func (p *callPaths) name(b *bookFunctions, ids []profile.ID, frames map[profile.ID]*profile.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if f := frames[id]; f != nil {
			b.locations = append(b.locations, p.number(flame.Name(f)))
		} else {
			b.locations, b.lost = append(b.locations, lost), true
		}
	}
}

// grow appends the functions of nodes.
func (b *bookFunctions) grow(d stackTree) {
	parents, locations := d.Parents(), d.NodeLocations()
	if len(b.nodes) == 0 {
		b.nodes = append(make([]uint32, 0, len(parents)), 0)
	}
	for n := len(b.nodes); n < len(parents); n++ {
		f := b.locations[locations[n]]
		for at := parents[n]; at != 0; at = parents[at] {
			if b.nodes[at]&^again == f {
				f |= again
				break
			}
		}
		if at := parents[n]; at != 0 && b.nodes[at]&lost != 0 {
			f = lost
		}
		b.nodes = append(b.nodes, f)
	}
}

// remember keeps the functions of a dictionary, instead of all others if these are
// too many.
func (p *callPaths) remember(key tenantBook, b *bookFunctions, budget int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes := b.bytes()
	if old := p.books[key]; old != nil {
		bytes -= old.bytes()
	}
	if p.bytes+bytes > budget {
		p.bytes -= p.bookBytes
		p.bookBytes, bytes = 0, b.bytes()
		clear(p.books)
		if p.bytes+bytes > budget {
			return
		}
	}
	p.books[key] = b
	p.bytes += bytes
	p.bookBytes += bytes
}

func (b *bookFunctions) bytes() int64 { return 200 + 5*int64(len(b.nodes)+len(b.locations)) }
