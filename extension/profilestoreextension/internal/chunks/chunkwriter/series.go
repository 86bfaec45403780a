package chunkwriter

import (
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// seriesNumbers number the series of a row as they come, and sort them at the end.
type seriesNumbers struct {
	numbers map[profile.ID]uint32
	list    []numberedSeries
	ranks   []uint32
	ids     []proto.UInt128
}

type numberedSeries struct {
	id     profile.ID
	number uint32
}

func (s *seriesNumbers) reset() {
	clear(s.numbers)
	s.list = s.list[:0]
}

func (s *seriesNumbers) number(id profile.ID) uint32 {
	n, ok := s.numbers[id]
	if !ok {
		n = uint32(len(s.list))
		s.numbers[id] = n
		s.list = append(s.list, numberedSeries{id, n})
	}
	return n
}

// sorted returns the ids in ascending order and the place of each number.
func (s *seriesNumbers) sorted() (ids []proto.UInt128, ranks []uint32) {
	slices.SortFunc(s.list, func(a, b numberedSeries) int { return a.id.Compare(b.id) })
	s.ids = s.ids[:0]
	s.ranks = slices.Grow(s.ranks[:0], len(s.list))[:len(s.list)]
	for i, n := range s.list {
		s.ids = append(s.ids, layout.ID(n.id))
		s.ranks[n.number] = uint32(i)
	}
	return s.ids, s.ranks
}
