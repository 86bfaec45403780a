package chunkreader

import (
	"context"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Querier answers what needs no stacks. It is safe for concurrent use; errors are
// those of [profilestore.Reader]. Its place is beside [profilestore.Reader] once
// the store uses this package.
type Querier interface {
	// Series sums profiles by kind, by the values of labels, and by steps of time.
	Series(ctx context.Context, sel profilestore.Selector, opts SeriesOptions) ([]Series, error)
	// Profiles lists single profiles, newest first, at most limit. Their stacks are
	// what MergeStacks finds in the time and with the labels of one.
	Profiles(ctx context.Context, sel profilestore.Selector, limit int) ([]Profile, error)
	// Heatmap counts profiles of each kind by steps of time and by the size of
	// their total of one type, 0 to [profile.MaxTypes]-1.
	Heatmap(ctx context.Context, sel profilestore.Selector, step int64, column int) ([]Heatmap, error)
	// ProfileTypes lists what profiles there are in the hours that the time touches.
	ProfileTypes(ctx context.Context, sel profilestore.Selector) ([]ProfileType, error)
	// LabelNames and LabelValues list those of the series that the labels of sel
	// select, sorted, at most limit, whenever they were there: of sel, kinds and
	// time do not apply.
	LabelNames(ctx context.Context, sel profilestore.Selector, limit int) ([]string, error)
	LabelValues(ctx context.Context, sel profilestore.Selector, name string, limit int) ([]string, error)
}

var _ Querier = (*Reader)(nil)

// SeriesOptions say what sums must be told apart.
type SeriesOptions struct {
	// By are the names of labels; without any there is one series for each kind.
	By []string
	// Step is the length of a point in nanoseconds; with 0 there is one point, at
	// time 0.
	Step int64
}

// Series are the sums of one kind with the same values of labels.
type Series struct {
	Kind  string
	Types []profile.ValueType
	// Labels are the values of SeriesOptions.By, in that order; a label that is not
	// there has the empty value.
	Labels []string
	// Points are those with profiles, in order of time.
	Points []Point
}

// Point sums the profiles that begin in a step.
type Point struct {
	// Time is the begin of the step, a multiple of its length, in Unix nanoseconds.
	Time     int64
	Values   [profile.MaxTypes]int64
	Events   uint64
	Profiles uint64
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

// ProfileType is a kind of profiles of a service with one set of sample types.
type ProfileType struct {
	Service, Kind string
	Types         []profile.ValueType
	PeriodType    profile.ValueType
}
