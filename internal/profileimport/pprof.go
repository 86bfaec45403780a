package profileimport

import (
	"fmt"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
)

// limits are those of files that somebody chose to import: larger than what servers
// take from programs.
var limits = pprofwire.Limits{MaxBytes: 4 * MaxSize, MaxSamples: 4 << 20, MaxLocations: 4 << 20, MaxFunctions: 4 << 20, MaxStrings: 4 << 20}

// Pprof decodes an inflated profile.proto,
// https://github.com/google/pprof/blob/main/proto/profile.proto. data must stay
// unchanged while the profile is used.
func Pprof(data []byte) (*pprofwire.Profile, error) {
	p, err := pprofwire.Parse(data, limits)
	if err == nil && len(p.SampleTypes) == 0 {
		return nil, fmt.Errorf("decode pprof: %w: the profile has no sample_type", pprofwire.ErrInvalid)
	}
	return p, err
}
