package chunk

import (
	"errors"
	"fmt"
)

// Version is that of the format, the first byte of [Streams.Head].
const Version = 1

// MaxTypes is the largest number of sample types of a chunk.
const MaxTypes = 4

// Limits of one chunk. What exceeds them is refused, by [Builder] as by [Decode].
const (
	MaxProfiles    = 1 << 20
	MaxEntries     = 1 << 22
	MaxIncidences  = 1 << 26
	MaxExemplars   = 1 << 22
	MaxStreamBytes = 1 << 28
)

var (
	// ErrFull says that a chunk would exceed a limit.
	ErrFull = errors.New("chunk is full")
	// ErrInvalid says that columns are not those of a chunk of a version known
	// here, or that arguments do not fit the chunk.
	ErrInvalid = errors.New("invalid chunk")
)

func full(what string, n, limit int) error {
	return fmt.Errorf("%w: %d %s; the limit is %d", ErrFull, n, what, limit)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// corrupt names the place of bytes that make no sense.
func corrupt(stream string, entry, offset int, format string, args ...any) error {
	return invalid("stream %s, entry %d, byte %d: %w", stream, entry, offset, fmt.Errorf(format, args...))
}
