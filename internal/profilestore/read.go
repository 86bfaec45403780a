package profilestore

import (
	"context"
	"errors"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// ErrUnavailable is the cause of errors that say the store cannot answer now:
// it is not up yet, is restarting, or does not accept connections.
var ErrUnavailable = errors.New("profile store unavailable")

// ErrLimit is the cause of errors that say a query is larger than its limits
// allow (time, memory or rows).
var ErrLimit = errors.New("query limit exceeded")

// ErrBusy is the cause of errors that say a tenant has as many queries or jobs
// running as it may. The same may work later.
var ErrBusy = errors.New("too much at once")

// Store is what the profile_store extension offers to other components.
type Store interface {
	Writer
	Reader
	Querier
	// Ready reports whether the store can be used: nil, or why not. It does not
	// block.
	Ready() error
}

// Selector says which observations a query is about. The zero value of a field
// selects everything.
type Selector struct {
	// Tenant is required; every query sees one tenant only.
	Tenant string
	// Service is the exact service.
	Service string
	// Kinds restricts the kinds of profiles.
	Kinds []string
	// Types restricts profiles to those of exactly these sample types; nil selects all.
	Types []profile.ValueType
	// PeriodType restricts profiles to those of a period type, which may be the empty
	// one; nil selects all.
	PeriodType *profile.ValueType
	// AgentID is the exact agent; nil selects all, also those without one.
	AgentID *string
	// Matchers must all hold for a series' labels.
	Matchers []Matcher
	// Start and End bound the time in Unix nanoseconds: Start <= t < End. 0 is
	// unbounded. Observations have the time of their group, which spans at most
	// the window of the profile_buffer processor (1 s by default), or that of
	// their whole profile.
	Start, End int64
}

// Matcher compares the value of a label; a label that is not there has the
// empty value.
type Matcher struct {
	Name, Value string
	Op          MatchOp
	// Or are further names: the label is the first of all of them that is there.
	Or []string
}

// LabelService as the name of a label is the service, whatever labels a series has.
const LabelService = "__service__"

// MatchOp is how a [Matcher] compares.
type MatchOp uint8

// Ways to compare. Regular expressions are RE2 and anchored at both ends.
const (
	MatchEqual MatchOp = iota
	MatchNotEqual
	MatchRegexp
	MatchNotRegexp
)

// Reader answers queries. It is safe for concurrent use. Every method returns
// early with the cause when ctx ends, and cancels the work in the store.
//
// Errors wrap [ErrUnavailable], [ErrLimit], [ErrBusy] or [profile.ErrInvalid] (a bad
// selector, naming the field) where they apply.
type Reader interface {
	// MergeStacks sums observations by kind, stack, lock address and system
	// call over the whole range. Ask for what is needed only: see MergeOptions.
	MergeStacks(ctx context.Context, sel Selector, opts MergeOptions) (*Merge, error)
	// CountEvents returns the number of observations, of all kinds.
	CountEvents(ctx context.Context, sel Selector) (uint64, error)
	// Batches lists ingest batches with sel.Start <= received_at < sel.End by
	// time of arrival, newest first, at most limit. Of sel only Tenant, AgentID,
	// Start and End apply.
	Batches(ctx context.Context, sel Selector, limit int) ([]profile.Batch, error)
}

// MergeOptions say what a merge must tell apart.
type MergeOptions struct {
	// ByLock keeps locks with different addresses apart.
	ByLock bool
	// BySyscall sums up system calls by number: it fills SyscallStats.
	BySyscall bool
	// SyscallRows keeps rows apart by system call, latency bucket and outcome.
	SyscallRows bool
	// ByPeriod keeps profiles with different periods apart: each period is a kind of
	// its own in the answer.
	ByPeriod bool
	// NoStacks leaves stacks out: every sum is over all stacks.
	NoStacks bool
	// MaxStacks bounds the number of rows returned per kind; the rows with the
	// largest first value are kept. 0 is the reader's own limit. Totals are
	// always over all rows.
	MaxStacks int
	// SpanIDs, TraceIDs and ProfileIDs, if any, sum exemplars instead of profiles:
	// those that have one of the ids of every list that is not empty. Of each, the
	// value is that of the first type and the count 1; extremes are not known. At
	// most [MaxIDs] in all.
	SpanIDs    [][8]byte
	TraceIDs   [][16]byte
	ProfileIDs [][16]byte
}

// Merge is the result of [Reader.MergeStacks]. A reader may give the same one to
// several callers: it and all it refers to must not be changed.
type Merge struct {
	// Kinds has one entry per kind that has observations, sorted by name, types, and,
	// with ByPeriod, period.
	Kinds []KindMerge
	// Stacks resolves the Stack fields of all rows.
	Stacks []Stack
}

// KindMerge is what a merge found of one kind.
type KindMerge struct {
	Kind  string
	Types []profile.ValueType
	// Period is the period shared by all profiles, 0 if they differ.
	Period int64
	// Start and End are the first and last time observed (Unix ns).
	Start, End int64
	// Totals are the sums of each type, Events the number of observations, over
	// everything selected, whatever MaxStacks cut.
	Totals [profile.MaxTypes]int64
	Events uint64
	// StacklessValue and StacklessEvents are the parts of Totals[0] and Events
	// that came without a stack. They are 0 if NoStacks was asked for.
	StacklessValue  int64
	StacklessEvents uint64
	// Rows are sorted by the first value, largest first, then by stack, lock
	// address, system call, bucket and failure.
	Rows []Row
	// TotalRows is the number of rows before MaxStacks.
	TotalRows int
	// Syscalls is filled by BySyscall, sorted by number.
	Syscalls []SyscallStats
}

// NoSyscall is the number of a row that is of no system call.
const NoSyscall = int64(-1)

// Row is the sum of the observations of one stack.
type Row struct {
	// Stack is an index into [Merge.Stacks].
	Stack int32
	// Bucket is the latency bucket of the system calls, Failed is true if they
	// ended in an error, and Syscall is their number, or NoSyscall. All of them
	// are zero unless SyscallRows was asked for.
	Bucket      uint8
	Failed      bool
	Syscall     int64
	LockAddress uint64
	Values      [profile.MaxTypes]int64
	Count       uint64
	// Min and Max are of single observations; 0 where they are not known.
	Min, Max int64
}

// SyscallStats are the latencies of one system call in nanoseconds.
type SyscallStats struct {
	Number int64
	// Name is as the producer said, empty if it did not.
	Name          string
	Count, Errors uint64
	Total         int64
	Min, Max      int64
	Histogram     [profile.LatencyBuckets]uint64
}

// Stack is a resolved stack, leaf first. It and its frames are shared and must
// not be changed.
type Stack struct {
	ID     profile.ID
	Frames []*profile.Frame
}
