package profilestore

import (
	"context"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Querier answers what [Reader] does not: it tells profiles apart by time and by
// label, and says what there is. It is safe for concurrent use; errors are those
// of [Reader].
type Querier interface {
	// Series sums profiles by kind, by the values of labels, and by steps of time.
	Series(ctx context.Context, sel Selector, opts SeriesOptions) ([]Series, error)
	// TopFunctions sums stacks by function. Each kind has its own list, sorted by
	// name of the kind.
	TopFunctions(ctx context.Context, sel Selector, opts TopOptions) ([]TopFunctions, error)
	// Profiles lists single profiles, newest first, at most limit. Their stacks are
	// what MergeStacks finds in the time and with the labels of one.
	Profiles(ctx context.Context, sel Selector, limit int) ([]Profile, error)
	// EachProfile calls f with every single profile and its samples until f returns
	// an error, which it returns. They come hour by hour and in no order within
	// one, one at a time; all that f gets is valid until it returns. However much
	// is selected, only some of it is in memory. Should the store stop answering in
	// between, some of it has been told already.
	EachProfile(ctx context.Context, sel Selector, f func(*Profile, []Sample) error) error
	// Heatmap counts profiles of each kind by steps of time and by the size of
	// their total of one type, 0 to [profile.MaxTypes]-1.
	Heatmap(ctx context.Context, sel Selector, step int64, column int) ([]Heatmap, error)
	// Exemplars lists single observations, newest first.
	Exemplars(ctx context.Context, sel Selector, opts ExemplarOptions) ([]Exemplar, error)
	// ProfileTypes lists what profiles there are in the hours that the time touches.
	ProfileTypes(ctx context.Context, sel Selector) ([]ProfileType, error)
	// LabelNames, LabelValues and LabelSets list those of the series that the labels
	// of sel select, sorted, at most limit: of series with profiles of its kinds in the
	// hours that the time touches, if there are kinds or times, else whenever they were
	// there.
	LabelNames(ctx context.Context, sel Selector, limit int) ([]string, error)
	LabelValues(ctx context.Context, sel Selector, name string, limit int) ([]string, error)
	// LabelSets lists which values of these labels there are together, in the order
	// of names; a label that is not there has the empty value. At most [MaxNames] names.
	LabelSets(ctx context.Context, sel Selector, names []string, limit int) ([][]string, error)
	// TimeRange returns the begin of the first profile and the end of the last in the
	// hours that the time touches, in Unix nanoseconds; both are 0 if there is none. Of
	// sel, labels do not apply.
	TimeRange(ctx context.Context, sel Selector) (first, last int64, err error)
}

// MaxBy bounds the labels that an answer is kept apart by.
const MaxBy = 16

// MaxNames bounds the labels of a set.
const MaxNames = 256

// SeriesOptions say what sums must be told apart.
type SeriesOptions struct {
	// By are the names of labels; without any there is one series for each kind. At
	// most [MaxBy].
	By []string
	// Step is the length of a point in nanoseconds; with 0 there is one point, at
	// time 0.
	Step int64
	// Offset is when one of the steps begins, in Unix nanoseconds; points are the
	// multiples of Step before and after it.
	Offset int64
	// ByPeriod keeps profiles with different periods apart: each has series of its own.
	ByPeriod bool
}

// Series are the sums of one kind with the same values of labels.
type Series struct {
	Kind  string
	Types []profile.ValueType
	// Period is 0 unless they were kept apart by it.
	Period int64
	// Labels are the values of SeriesOptions.By, in that order; a label that is not
	// there has the empty value.
	Labels []string
	// Points are those with profiles, in order of time.
	Points []Point
}

// Point sums the profiles that begin in a step. The average of a value is the sum
// divided by Profiles.
type Point struct {
	// Time is the begin of the step in Unix nanoseconds: SeriesOptions.Offset and a
	// multiple of the step.
	Time     int64
	Values   [profile.MaxTypes]int64
	Events   uint64
	Profiles uint64
}

// TopOptions say which functions are listed.
type TopOptions struct {
	// Column is the type that functions are sorted by, 0 to [profile.MaxTypes]-1.
	Column int
	// ByTotal sorts by total instead of self.
	ByTotal bool
	// Limit bounds the functions of a kind; 0 is the reader's own limit.
	Limit int
}

// TopFunctions are the functions of one kind.
type TopFunctions struct {
	Kind  string
	Types []profile.ValueType
	// Totals are the sums of each type over everything selected.
	Totals [profile.MaxTypes]int64
	// Functions have the largest first, equal ones by name.
	Functions []FunctionSums
	// Count is the number of functions before the limit.
	Count int
}

// FunctionSums are the sums of all functions of one name.
type FunctionSums struct {
	// Name is as flame graphs show it.
	Name string
	// Self sums the samples that ended in the function, Total those that had it
	// anywhere on the stack, each once.
	Self, Total [profile.MaxTypes]int64
}

// Profile is a single profile.
type Profile struct {
	Service, Kind string
	Types         []profile.ValueType
	PeriodType    profile.ValueType
	Period        int64
	// Series identifies the labels, which are sorted by name.
	Series profile.ID
	Labels []profile.Label
	// Time and Duration are nanoseconds.
	Time, Duration int64
	Totals         [profile.MaxTypes]int64
	Events         uint64
}

// Sample is what a single profile has of one stack with the same attributes.
type Sample struct {
	Stack Stack
	// Syscall is NoSyscall if the sample is of no system call.
	Syscall     int64
	Bucket      uint8
	Failed      bool
	LockAddress uint64
	Values      [profile.MaxTypes]int64
	Count       uint64
	// Min and Max are of single observations; 0 where they are not known.
	Min, Max int64
}

// HeatmapSizes is the number of sizes of a [Heatmap].
const HeatmapSizes = 65

// Heatmap counts the profiles of one kind.
type Heatmap struct {
	Kind  string
	Types []profile.ValueType
	// Steps are those with profiles, in order of time.
	Steps []HeatmapStep
}

// HeatmapStep counts the profiles that begin in a step by size: that of a total is
// the number of its binary digits, and 0 if it is not positive.
type HeatmapStep struct {
	Time  int64
	Sizes [HeatmapSizes]uint64
}

// MaxIDs bounds the ids of spans, traces and profiles of one query.
const MaxIDs = 100_000

// ExemplarOptions say which exemplars are listed: those that have one of the ids of
// every list that is not empty, at most [MaxIDs] in all.
type ExemplarOptions struct {
	SpanIDs    [][8]byte
	TraceIDs   [][16]byte
	ProfileIDs [][16]byte
	// Limit bounds the answer; it must be positive.
	Limit int
}

// Exemplar is a single observation that was kept.
type Exemplar struct {
	Service, Kind string
	Types         []profile.ValueType
	Period        int64
	// Labels are those of the series, sorted by name.
	Labels []profile.Label
	Stack  Stack
	// Time is that of the observation in Unix nanoseconds, Value that of the first
	// type.
	Time, Value int64
	// What is not known is zero.
	SpanID    [8]byte
	TraceID   [16]byte
	ProfileID [16]byte
}

// ProfileType is a kind of profiles of a service with one set of sample types.
type ProfileType struct {
	Service, Kind string
	Types         []profile.ValueType
	PeriodType    profile.ValueType
}
