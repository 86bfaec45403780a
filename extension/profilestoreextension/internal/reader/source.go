package reader

import (
	"fmt"
	"strings"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
)

// columns of the observations that a query needs. The count is always read.
type columns struct {
	kind, stack, lock bool
	// syscall is the number, the bucket and the outcome; syscallsOnly leaves out
	// what is of no system call.
	syscall, syscallsOnly bool
	// bounds are the minimum and maximum.
	bounds bool
	// values is how many of the values are read.
	values int
}

// source returns a select of the observations of a scan, one row for each: k
// (the kindKey), the columns asked for, c (count), y0 and so on (values), lo
// and hi.
func (r *Reader) source(s *scan, c columns) string {
	return union(s.hours, r.hourSource(s, c), s.raw, r.rawSource(s, c))
}

const selectKind = "cityHash64(kind, types) AS k"

func (r *Reader) hourSource(s *scan, c columns) string {
	list := []string{"count AS c"}
	if c.kind {
		list = append(list, selectKind)
	}
	if c.stack {
		list = append(list, "stack")
	}
	if c.lock {
		list = append(list, "lock_address AS lock")
	}
	if c.syscall {
		list = append(list, "syscall", "bucket", "error")
	}
	for i := range c.values {
		list = append(list, fmt.Sprintf("v%d AS y%d", i, i))
	}
	if c.bounds {
		// The conversions take SimpleAggregateFunction off the types.
		list = append(list, "toInt64(minimum) AS lo", "toInt64(maximum) AS hi")
	}
	sql := "SELECT " + strings.Join(list, ", ") + " FROM " + r.opts.Tables.Table("stack_hours") + " WHERE " + s.whereHours()
	if c.syscallsOnly {
		sql += " AND syscall >= 0"
	}
	return sql
}

// rawSource unfolds the arrays of the table profiles. Arrays that were left
// empty are filled with zeros by the join; what else they mean is computed per
// profile before it.
func (r *Reader) rawSource(s *scan, c columns) string {
	inner := []string{"counts"}
	join := []string{"counts AS c"}
	outer := []string{"c"}
	if c.kind {
		inner = append(inner, selectKind)
		outer = append(outer, "k")
	}
	add := func(column, alias string) {
		inner = append(inner, column)
		join = append(join, column+" AS "+alias)
		outer = append(outer, alias)
	}
	if c.stack {
		add("stacks", "stack")
	}
	if c.lock {
		add("lock_addresses", "lock")
	}
	if c.syscall {
		inner = append(inner, "syscalls", "empty(syscalls) AS uncalled")
		join = append(join, "syscalls AS call")
		outer = append(outer, fmt.Sprintf("if(uncalled, %d, call) AS syscall", layout.NoSyscall))
		add("buckets", "bucket")
		add("errors", "error")
	}
	if c.values > 0 {
		inner = append(inner, "same")
	}
	for i := range c.values {
		inner = append(inner, fmt.Sprintf("v%d", i))
		join = append(join, fmt.Sprintf("v%d AS x%d", i, i))
		outer = append(outer, fmt.Sprintf("if(bitTest(same, %d), toInt64(c), x%d) AS y%d", i, i, i))
	}
	if c.bounds {
		inner = append(inner, "minima", "maxima", "empty(minima) AS unbounded")
		join = append(join, "minima AS lo0", "maxima AS hi0")
		outer = append(outer, fmt.Sprintf("if(unbounded, %d, lo0) AS lo, if(unbounded, %d, hi0) AS hi", layout.NoMinimum, layout.NoMaximum))
	}
	where := s.whereRaw()
	if c.syscallsOnly {
		where += " AND notEmpty(syscalls)"
	}
	sql := "SELECT " + strings.Join(outer, ", ") + " FROM (SELECT " + strings.Join(inner, ", ") + " FROM " + r.opts.Tables.Table("profiles") +
		" WHERE " + where + ") ARRAY JOIN " + strings.Join(join, ", ")
	if c.syscallsOnly {
		sql += " WHERE call >= 0"
	}
	return sql
}
