package ingest

import (
	"math"
	"time"
	"unicode/utf8"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
)

// Limits bound what a profile may hold. Zero fields are unlimited, within what the
// rest of the product takes.
type Limits struct {
	// MaxSize is the largest profile in bytes, inflated.
	MaxSize int64
	// MaxSamples is the largest number of samples of a profile.
	MaxSamples int
	// MaxSampleLabels is the largest number of labels of a sample.
	MaxSampleLabels int
	// MaxDepth is the largest number of frames of a stack, inlined ones included. Of
	// deeper ones, the root part is kept.
	MaxDepth int
	// MaxSymbolLength is the longest name in bytes. Of longer ones, the end is kept.
	MaxSymbolLength int
	// MaxLabelNames is the largest number of labels of a series, MaxLabelName and
	// MaxLabelValue their longest names and values in bytes.
	MaxLabelNames, MaxLabelName, MaxLabelValue int
	// Before and After are how far from now the time of a profile may be.
	Before, After time.Duration
}

// Bounds of what is unlimited.
const (
	mostBytes     = 1 << 30
	mostSamples   = 4 << 20
	mostFrames    = 1 << 15 // of a stack, before it is cut
	mostLabels    = 256
	mostNameBytes = 64 << 10
)

func bound[N int | int64](limit, most N) N {
	if limit <= 0 || limit > most {
		return most
	}
	return limit
}

// depth and symbol are what stacks and names are cut to. What the rest of the product
// takes by default is the most.
func (l *Limits) depth() int  { return bound(l.MaxDepth, 2048) }
func (l *Limits) symbol() int { return bound(l.MaxSymbolLength, mostNameBytes) }

// cut returns the part of a name that is kept.
func (l *Limits) cut(name string) string {
	if most := l.symbol(); len(name) > most {
		name = name[len(name)-most:]
		for len(name) > 0 && !utf8.RuneStart(name[0]) {
			name = name[1:]
		}
	}
	return name
}

// Size is the largest profile in bytes.
func (l *Limits) Size() int64 { return bound(l.MaxSize, mostBytes) }

// recordingFactor is how much larger than a profile a recording of JFR may be: most of
// it is not in the profiles that it becomes.
const recordingFactor = 4

// RecordingSize is the largest recording of JFR in bytes, inflated.
func (l *Limits) RecordingSize() int64 { return min(recordingFactor*l.Size(), mostBytes) }

func (l *Limits) pprof() pprofwire.Limits {
	return pprofwire.Limits{
		MaxBytes: int(l.Size()), MaxSamples: bound(l.MaxSamples, mostSamples), MaxLabels: bound(l.MaxSampleLabels, mostLabels),
		// What is longer or deeper is cut.
		MaxStringLength: math.MaxInt32, MaxFrames: mostFrames,
	}
}
