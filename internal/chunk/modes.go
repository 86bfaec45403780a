package chunk

// How the values of a type are coded for an entry: four bits in [Streams.Head]. The
// numbers are part of the format.
const (
	constant  = 0 // nothing: each is the total divided by the number of profiles
	coded     = 1 // zigzag varints
	residual  = 2 // zigzag varints of the difference to the prediction, types 1 and 3
	predicted = 3 // nothing: each is what is predicted, types 1 and 3
	small     = 4 // positions in [Streams.Small], see appendSmall
)

// How the numbers of observations are coded: the low four bits of the last plane.
const (
	countConstant = 0 // as above
	countCoded    = 1 // varints
	countFirst    = 2 // nothing: equal to the values of type 0
	countSecond   = 3 // nothing: equal to the values of type 1
	countSmall    = 4 // as above
)

// How extremes are coded: the high four bits of the last plane. Coded is the
// minimum as a zigzag varint and the maximum as a varint of its distance.
const (
	boundsConstant = 0 // nothing: those of the entry, also if they are not known
	boundsSingles  = 1 // all known; where the count is 1, both are the value; others coded
	boundsCoded    = 2 // all known and coded
	boundsMixed    = 3 // each begins with one of the bytes below
)

const (
	boundsUnknown = 0
	boundsValue   = 1 // both are the value
	boundsGiven   = 2 // coded
)

// headBytes come before the planes of modes.
const headBytes = 2

// isDerived reports whether a type is predicted from the one before.
func isDerived(column int) bool { return column&1 == 1 }

// modes are those of all entries. Each plane has a byte for each entry: one for
// every two types, the even one in the low bits, and one for counts and extremes.
type modes struct {
	values       [(MaxTypes + 1) / 2][]byte
	observations []byte
}

func planes(types int) int { return (types+1)/2 + 1 }

// modes returns those of a head that has the right length.
func (c *Chunk) modes() modes {
	var m modes
	n, rest := c.Entries(), c.columns.Streams.Head[headBytes:]
	for i := range planes(c.types) - 1 {
		m.values[i], rest = rest[:n], rest[n:]
	}
	m.observations = rest
	return m
}

func (m *modes) value(entry, column int) byte {
	return m.values[column/2][entry] >> (column % 2 * 4) & 15
}

func (m *modes) counts(entry int) byte { return m.observations[entry] & 15 }
func (m *modes) bounds(entry int) byte { return m.observations[entry] >> 4 }

// fit reports whether an entry in n profiles of a chunk may have its modes.
func (m *modes) fit(entry, types int, n uint32) bool {
	any := m.observations[entry]
	for j := range planes(types) - 1 {
		b := m.values[j][entry]
		any |= b
		low, high := b&15, b>>4
		if low != constant && low != coded && low != small || high > small || 2*j+1 >= types && high != 0 {
			return false
		}
	}
	if n <= 1 {
		return any == 0
	}
	counts := m.counts(entry)
	return counts <= countSmall && (counts != countSecond || types > 1) && m.bounds(entry) <= boundsMixed
}
