package typemap

import (
	"fmt"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// ID is a type of profile as clients select it, for example
// `process_cpu:cpu:nanoseconds:cpu:nanoseconds`.
type ID struct {
	// Name is the label `__name__`.
	Name string
	// Sample and Period are those of the profile; Period is empty where it has none.
	Sample, Period profile.ValueType
}

// idParts are the parts of an ID; a sixth one is `delta`, which says nothing.
const idParts = 5

// Parse reads an ID.
func Parse(s string) (ID, error) {
	parts := strings.Split(s, ":")
	if len(parts) == idParts+1 && parts[idParts] == "delta" {
		parts = parts[:idParts]
	}
	if len(parts) != idParts {
		return ID{}, fmt.Errorf("parse profile type %.256q: found %d parts between colons; there must be %d: name, type, unit, period type, period unit", s, len(parts), idParts)
	}
	if parts[0] == "" || parts[1] == "" {
		return ID{}, fmt.Errorf("parse profile type %.256q: name and type must not be empty", s)
	}
	return ID{
		Name:   parts[0],
		Sample: profile.ValueType{Type: parts[1], Unit: parts[2]},
		Period: profile.ValueType{Type: parts[3], Unit: parts[4]},
	}, nil
}

// String returns the text that [Parse] reads.
func (id ID) String() string {
	return strings.Join([]string{id.Name, id.Sample.Type, id.Sample.Unit, id.Period.Type, id.Period.Unit}, ":")
}
