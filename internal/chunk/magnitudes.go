package chunk

import (
	"fmt"
	"math"
)

// Magnitudes bound all totals of a chunk: those of an entry, of a profile and of the
// whole are at most the sum of the magnitudes of all values. Who keeps that below 2^63
// has totals that are exact, and not only modulo 2^64. The zero value is that of nothing.
type Magnitudes struct {
	values [MaxTypes]uint64
	counts uint64
}

// maxMagnitude is what they may add up to, so that no total is beyond an int64.
const maxMagnitude = math.MaxInt64

// Add adds values and a count. The error wraps [ErrFull]; m is of no use then.
func (m *Magnitudes) Add(values *[MaxTypes]int64, count uint64) error {
	for j, v := range values {
		if m.values[j] += magnitude(v); m.values[j] > maxMagnitude {
			return fmt.Errorf("%w: the magnitudes of values %d add up to more than %d", ErrFull, j, int64(maxMagnitude))
		}
	}
	if count > maxMagnitude-m.counts {
		return fmt.Errorf("%w: the counts add up to more than %d", ErrFull, int64(maxMagnitude))
	}
	m.counts += count
	return nil
}

// AddChunk adds the totals of the entries of a chunk, which must be exact.
func (m *Magnitudes) AddChunk(c *Chunk) error {
	var values [MaxTypes]int64
	for i := range c.Entries() {
		for j := range c.types {
			values[j] = c.columns.Entries.Totals[j][i]
		}
		if err := m.Add(&values, c.Count(i)); err != nil {
			return err
		}
	}
	return nil
}
