package profileimport

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
)

// samplesPerMessage keeps messages below the 4 MiB that servers take by default.
const samplesPerMessage = 5_000

// Options say what a file does not.
type Options struct {
	// Kind is the kind of profile, empty for what its sample types say.
	Kind string
	// Time is that of profiles that have none.
	Time time.Time
	// Attributes are those of the resource. Without service.name, it is the name of
	// the first mapping's file.
	Attributes map[string]string
}

// ErrTime is the cause of errors about profiles that have no time where that of the
// options is none that OTLP can have.
var ErrTime = errors.New("the profile has no time of its own")

// Convert turns p into OTLP profiles, in parts of a size that servers take. Sums over
// all parts are those of p.
func Convert(p *pprofwire.Profile, o Options) ([]pprofile.Profiles, error) {
	columns, err := p.Columns(o.Kind)
	if err != nil {
		return nil, err
	}
	if p.TimeNanos <= 0 && (!o.Time.After(time.Unix(0, 0)) || o.Time.After(time.Unix(0, math.MaxInt64))) {
		return nil, fmt.Errorf("%w, and %s is not between 1970 and 2262", ErrTime, o.Time.UTC().Format(time.RFC3339))
	}
	var parts []pprofile.Profiles
	for first := 0; first < p.NumSamples(); first += samplesPerMessage {
		pd := pprofile.NewProfiles()
		rp := pd.ResourceProfiles().AppendEmpty()
		o.resource(p, rp.Resource().Attributes())
		scope := rp.ScopeProfiles().AppendEmpty()
		scope.Scope().SetName("github.com/aperture-collector/aperture-collector/internal/profileimport")
		end := min(first+samplesPerMessage, p.NumSamples())
		c := pprofwire.NewConverter(pd, p)
		if err := c.AppendSamples(scope, columns, pprofwire.Options{Time: o.Time}, first, end); err != nil {
			return nil, err
		}
		c.Release()
		parts = append(parts, pd)
	}
	return parts, nil
}

func (o *Options) resource(p *pprofwire.Profile, to pcommon.Map) {
	for name, value := range o.Attributes {
		to.PutStr(name, strings.ToValidUTF8(value, "\ufffd"))
	}
	if _, ok := o.Attributes["service.name"]; ok || len(p.Mappings) == 0 {
		return
	}
	if file := p.Text(p.Mappings[0].Filename); file != "" && !strings.HasPrefix(path.Base(file), "[kernel") {
		to.PutStr("service.name", strings.Clone(path.Base(file)))
	}
}
