package chunk

import (
	"fmt"
	"math"
)

// Magnitudes bound all totals of a chunk: those of an entry, of a profile and of the
// whole are at most the sum of the magnitudes of all values. Who keeps that below 2^63
// has totals that are exact, and not only modulo 2^64. The zero value is that of nothing.
// Values and chunks are not added to the same.
type Magnitudes struct {
	values [MaxTypes]uint64
	counts uint64
	// profiles are those of the totals of profiles, where these are known and not the
	// values: with values of both signs they may be more than those of entries.
	profiles [MaxTypes]uint64
}

// maxMagnitude is what they may add up to, so that no total is beyond an int64.
const maxMagnitude = math.MaxInt64

// Add adds values and a count. The error wraps [ErrFull]; m is of no use then.
func (m *Magnitudes) Add(values *[MaxTypes]int64, count uint64) error {
	for j, v := range values {
		if err := add(&m.values[j], v, j); err != nil {
			return err
		}
	}
	if count > maxMagnitude-m.counts {
		return fmt.Errorf("%w: the counts add up to more than %d", ErrFull, int64(maxMagnitude))
	}
	m.counts += count
	return nil
}

// add adds the magnitude of a value of a type to a sum, which is at most maxMagnitude.
func add(sum *uint64, v int64, typ int) error {
	if *sum += magnitude(v); *sum > maxMagnitude {
		return fmt.Errorf("%w: the magnitudes of values %d add up to more than %d", ErrFull, typ, int64(maxMagnitude))
	}
	return nil
}

// AddChunk adds the totals of the entries and of the profiles of a chunk, which must be
// exact. Values of both signs may be larger than what they add up to: the total of any
// profiles is exact, and that of an entry in some of them modulo 2^64.
func (m *Magnitudes) AddChunk(c *Chunk) error {
	for j := range c.types {
		for _, v := range c.columns.Profiles.Totals[j] {
			if err := add(&m.profiles[j], v, j); err != nil {
				return err
			}
		}
	}
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
