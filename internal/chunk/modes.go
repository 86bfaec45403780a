package chunk

// How the values of a type are coded for an entry: two bits of its first byte in
// [Streams.Head] for each type. The numbers are part of the format.
const (
	constant  = 0 // nothing: each is the total divided by the number of profiles
	coded     = 1 // zigzag varints
	residual  = 2 // zigzag varints of the difference to the prediction, types 1 and 3
	predicted = 3 // nothing: each is what is predicted, types 1 and 3
)

// How the numbers of observations are coded: the low bits of the second byte.
const (
	countConstant = 0 // as above
	countCoded    = 1 // varints
	countFirst    = 2 // nothing: equal to the values of type 0
	countSecond   = 3 // nothing: equal to the values of type 1
)

// How extremes are coded: the next two bits of the second byte. Coded is the
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

// headBytes come before the two planes of modes.
const headBytes = 2

// isDerived reports whether a type is predicted from the one before.
func isDerived(column int) bool { return column&1 == 1 }

func valueMode(b byte, column int) byte { return b >> (2 * column) & 3 }

// modesFit reports whether an entry in n profiles of a chunk may have these modes.
func modesFit(values, observations byte, types int, n uint32) bool {
	// Nothing beyond the types, and types 0 and 2 are not predicted from any.
	if values>>(2*types) != 0 || values&0b0010_0010 != 0 || observations>>4 != 0 {
		return false
	}
	if types < 2 && observations&3 == countSecond {
		return false
	}
	return n > 1 || values == 0 && observations == 0
}
