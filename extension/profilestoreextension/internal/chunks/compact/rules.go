package compact

import (
	"cmp"
	"slices"
	"time"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// Rules say when rows are compacted. The zero value of a field is its default.
type Rules struct {
	// MinRows is how many rows of level 0 become one of level 1 (60): with windows
	// of a second a row per minute, with windows of a minute none. Fewer cost a
	// query less than their compaction would.
	MinRows int
	// CloseAfter is how long after its end an hour is closed (5 min).
	CloseAfter time.Duration
	// Quiet is for how long a closed hour must not have got rows (2 min), and
	// Latest how long rows wait for that at most (30 min): what comes late mostly
	// comes in many small windows. Rows of minutes always wait for Quiet, which must be
	// longer than an insert may take.
	Quiet, Latest time.Duration
	// DeleteDelay is how long a row stays that was replaced (10 min). It must be
	// longer than any query takes.
	DeleteDelay time.Duration
	// DrainAfter is how long after the first row of a closed hour all stacks that
	// came one by one are added to dictionaries (1 min): those of all services by then.
	DrainAfter time.Duration
	// MaxRows and MaxBytes bound the rows that become one (1024, 64 MiB of arrays
	// and streams).
	MaxRows  int
	MaxBytes int64
}

func (r Rules) withDefaults() Rules {
	r.MinRows = cmp.Or(r.MinRows, 60)
	r.CloseAfter = cmp.Or(r.CloseAfter, 5*time.Minute)
	r.Quiet = cmp.Or(r.Quiet, 2*time.Minute)
	r.Latest = cmp.Or(r.Latest, 30*time.Minute)
	r.DeleteDelay = cmp.Or(r.DeleteDelay, 10*time.Minute)
	r.DrainAfter = cmp.Or(r.DrainAfter, time.Minute)
	r.MaxRows = cmp.Or(r.MaxRows, 1024)
	r.MaxBytes = cmp.Or(r.MaxBytes, 64<<20)
	return r
}

// job is the making of one row.
type job struct {
	level  uint8
	inputs []*stored
}

// stored is a row that is there, without its arrays.
type stored struct {
	chunkrow.Header
	bytes, incidences int64
}

// never is a time that does not come.
const never = int64(1<<63 - 1)

// plan says what is to be made of the rows of a key that have not been replaced,
// and otherwise when to look again, in Unix milliseconds, if no more come. Of those
// that are full no row of minutes is made.
func (r *Rules) plan(rows []*stored, full map[uint64]bool, hour, now int64) (jobs []job, due int64) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(s *stored) bool { return s.Level >= chunkrow.ClosedHour })
	if len(rows) == 0 {
		return nil, never
	}
	oldest, newest := rows[0].Written, rows[0].Written
	newestMinutes := int64(0)
	for _, s := range rows {
		oldest, newest = min(oldest, s.Written), max(newest, s.Written)
		if s.Level == chunkrow.Minutes {
			newestMinutes = max(newestMinutes, s.Written)
		}
	}
	slices.SortFunc(rows, func(a, b *stored) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.ID, b.ID))
	})
	due = max((hour+3600)*1000+r.CloseAfter.Milliseconds(), min(newest+r.Quiet.Milliseconds(), oldest+r.Latest.Milliseconds()))
	if now >= due {
		// Somebody may still be storing a row of a closed hour with the number of one of
		// minutes, of which the first would count. That takes less than this.
		if settled := newestMinutes + r.Quiet.Milliseconds(); now < settled {
			return nil, settled
		}
		for _, g := range r.groups(rows, 1) {
			jobs = append(jobs, job{chunkrow.ClosedHour, g})
		}
		return jobs, never
	}
	rows = slices.DeleteFunc(rows, func(s *stored) bool { return s.Level != chunkrow.Written || full[s.ID] })
	for _, g := range r.groups(rows, r.MinRows) {
		jobs = append(jobs, job{chunkrow.Minutes, g})
	}
	return jobs, due
}

// groups cuts rows into groups that fit into one row each, and leaves out those of
// less than least, unless another row would not fit.
func (r *Rules) groups(rows []*stored, least int) (out [][]*stored) {
	first := 0
	var bytes, profiles, entries, incidences int64
	for i, s := range rows {
		bytes += s.bytes
		profiles += int64(s.Profiles)
		entries += int64(s.Entries)
		incidences += s.incidences
		if i > first && (i-first >= r.MaxRows || bytes > r.MaxBytes || profiles > chunk.MaxProfiles ||
			entries > chunk.MaxEntries || incidences > chunk.MaxIncidences) {
			out = append(out, rows[first:i])
			first = i
			bytes, profiles, entries, incidences = s.bytes, int64(s.Profiles), int64(s.Entries), s.incidences
		}
	}
	if len(rows)-first >= least {
		out = append(out, rows[first:])
	}
	return out
}
