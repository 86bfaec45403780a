package pprofwire

import (
	"sync"

	"go.opentelemetry.io/collector/pdata/pprofile"
)

// profiles holds those that [Decode] is done with.
var profiles = sync.Pool{New: func() any { return new(Profile) }}

// maxKeptBytes bounds the memory for inflated data and tables of what is in profiles.
const maxKeptBytes = 1 << 20

// Decode is [Parse] and [ToProfiles]: what a receiver does with data that it got. It
// keeps memory for later calls. Nothing of the result aliases data. The error wraps
// [ErrInvalid] or [ErrTooLarge]. It is safe for concurrent use.
//
// In the same process, [profile.Split] takes the result apart into sums by stack, and
// Release of those gives their memory back.
func Decode(data []byte, limits Limits, o Options) (pprofile.Profiles, error) {
	p := profiles.Get().(*Profile)
	defer p.Recycle(&profiles)
	if err := p.Parse(data, limits); err != nil {
		return pprofile.Profiles{}, err
	}
	return ToProfiles(p, o)
}

// Recycle gives p to a pool, unless its memory is too large for that. Neither p nor
// what was got from it must be used after.
func (p *Profile) Recycle(pool *sync.Pool) {
	if cap(p.inflated) > maxKeptBytes || 4*cap(p.refs) > maxKeptBytes || 8*cap(p.values) > maxKeptBytes ||
		cap(p.strings) > maxKept || cap(p.Locations) > maxKept || cap(p.Functions) > maxKept || cap(p.labels) > maxKept ||
		cap(p.lines) > maxKept || cap(p.samples) > maxKept || cap(p.Mappings) > maxKept {
		return
	}
	p.reset()
	pool.Put(p)
}
