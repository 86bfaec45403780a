package pprofwire

import (
	"errors"
	"fmt"
)

// ErrInvalid is the cause of errors about data that is no valid profile.
var ErrInvalid = errors.New("invalid pprof")

// ErrTooLarge is the cause of errors about profiles beyond a limit.
var ErrTooLarge = errors.New("too large")

// Limits bound what one profile may hold. Zero fields take the default.
type Limits struct {
	// MaxBytes is the largest size of the inflated profile (default 64 MiB, at most
	// 1 GiB). What is decoded takes at most about ten times as much, and about a
	// third of it for usual profiles.
	MaxBytes int
	// MaxSamples, MaxLocations and MaxFunctions are the largest numbers of entries
	// (default 1 Mi each).
	MaxSamples, MaxLocations, MaxFunctions int
	// MaxLines is the largest number of lines of all locations together (default 4 for
	// each of MaxLocations).
	MaxLines int
	// MaxStrings is the largest number of strings (default 2 Mi).
	MaxStrings int
	// MaxStringLength is the longest string in bytes (default 64 KiB).
	MaxStringLength int
	// MaxFrames is the largest number of frames of a sample, inlined ones included
	// (default 2048).
	MaxFrames int
	// MaxLabels is the largest number of labels of a sample (default 256).
	MaxLabels int
	// FunctionZero takes a function whose id is 0, which is reserved, as profilers of
	// .NET write the first one.
	FunctionZero bool
}

const (
	defaultMaxBytes = 64 << 20
	mostBytes       = 1 << 30 // offsets are 32 bits wide
	maxMappings     = 64 << 10
	maxSampleTypes  = 64
	maxComments     = 4 << 10
)

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		limit *int
		value int
	}{
		{&l.MaxBytes, defaultMaxBytes},
		{&l.MaxSamples, 1 << 20},
		{&l.MaxLocations, 1 << 20},
		{&l.MaxFunctions, 1 << 20},
		{&l.MaxStrings, 2 << 20},
		{&l.MaxStringLength, 64 << 10},
		{&l.MaxFrames, 2048},
		{&l.MaxLabels, 256},
	} {
		if *f.limit <= 0 {
			*f.limit = f.value
		}
	}
	if l.MaxLines <= 0 {
		l.MaxLines = 4 * l.MaxLocations
	}
	l.MaxBytes = min(l.MaxBytes, mostBytes)
	return l
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("decode pprof: %w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// tooMany says that a table has more entries than allowed.
func tooMany(table string, limit int) error {
	return fmt.Errorf("decode pprof: %w: %s has more than %d entries", ErrTooLarge, table, limit)
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("decode pprof: %w: %s", ErrTooLarge, fmt.Sprintf(format, args...))
}
