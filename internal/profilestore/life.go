package profilestore

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// ErrNotFound is the cause of errors about a job that is not there.
var ErrNotFound = errors.New("not found")

// Scope is what a [Target] names.
type Scope string

// Scopes of targets.
const (
	// ScopeTenant is everything of the tenant.
	ScopeTenant Scope = "tenant"
	// ScopeService is one service.
	ScopeService Scope = "service"
	// ScopeAgent is everything that one agent sent, by its label aperture.agent.id,
	// whatever the service.
	ScopeAgent Scope = "agent_id"
)

// Target says whose data is to be deleted.
type Target struct {
	Tenant string
	Scope  Scope
	// Name is that of the service or agent; it may be empty for a service. It is
	// the tenant for a tenant.
	Name string
}

// maxTargetName is the longest name in bytes.
const maxTargetName = 64 << 10

// Validate checks that the target names something. The error wraps
// [profile.ErrInvalid].
func (t Target) Validate() error {
	switch {
	case t.Tenant == "":
		return fmt.Errorf("%w: tenant is empty", profile.ErrInvalid)
	case t.Scope != ScopeTenant && t.Scope != ScopeService && t.Scope != ScopeAgent:
		return fmt.Errorf("%w: scope is %q; must be %s, %s or %s", profile.ErrInvalid, t.Scope, ScopeTenant, ScopeService, ScopeAgent)
	case t.Scope == ScopeTenant && t.Name != t.Tenant:
		return fmt.Errorf("%w: %s is %q; the tenant is %q", profile.ErrInvalid, t.Scope, t.Name, t.Tenant)
	case t.Scope == ScopeAgent && t.Name == "":
		return fmt.Errorf("%w: %s is empty", profile.ErrInvalid, t.Scope)
	case len(t.Name) > maxTargetName:
		return fmt.Errorf("%w: %s has %d bytes; the limit is %d", profile.ErrInvalid, t.Scope, len(t.Name), maxTargetName)
	case !utf8.ValidString(t.Name):
		return fmt.Errorf("%w: %s is not valid UTF-8", profile.ErrInvalid, t.Scope)
	}
	return nil
}

// JobState is how far a job is.
type JobState string

// States of jobs, in the order they are gone through.
const (
	// JobPending has not begun.
	JobPending JobState = "pending"
	// JobRunning is making data disappear from queries.
	JobRunning JobState = "running"
	// JobPurging is done as far as queries go; what nobody can read any more is
	// still on disk.
	JobPurging JobState = "purging"
	// JobDone has nothing left to do.
	JobDone JobState = "done"
)

// DeleteJob is the deletion of what was stored before Cut.
type DeleteJob struct {
	ID     string
	Target Target
	State  JobState
	// Cut is when the job was asked for, by the clock of the store: what is stored
	// later is new data, and stays.
	Cut time.Time
	// Updated is when the figures were written.
	Updated time.Time
	// RowsDone and RowsLeft are rows of the table of profiles that were, or are to
	// be, made to disappear from queries; while it is purging, RowsLeft are those
	// on disk, which have about BytesLeft bytes.
	RowsDone, RowsLeft, BytesLeft uint64
	// Error is why the last attempt failed; it is repeated.
	Error string
}

// TableUsage is what a table takes.
type TableUsage struct {
	Table string
	// Parts, Rows and Bytes on disk are of active parts.
	Parts, Rows, Bytes uint64
}

// DiskUsage is the space of a disk of the server, in bytes.
type DiskUsage struct {
	Name        string
	Free, Total uint64
}

// Usage is what the store takes.
type Usage struct {
	// At is when it was measured; figures are some seconds old at most.
	At time.Time
	// Tables are sorted by name.
	Tables []TableUsage
	Disks  []DiskUsage
	// Dropped is when data was dropped last because a limit of the storage was
	// reached, zero if never since the start, and Oldest the first hour that is
	// left from then.
	Dropped, Oldest time.Time
	// Short says why there is too little space and nothing that may be dropped,
	// empty if that is not so.
	Short string
}

// Bytes is the size of all tables on disk.
func (u *Usage) Bytes() (n uint64) {
	for _, t := range u.Tables {
		n += t.Bytes
	}
	return n
}

// Keeper is what a store offers beside reading and writing. It is safe for
// concurrent use. Errors wrap [ErrUnavailable], [ErrNotFound], [ErrBusy] and
// [profile.ErrInvalid] where they apply.
type Keeper interface {
	// Delete begins to delete everything of a target that is stored by now.
	// Nothing else changes. A job that was begun ends, whoever stops meanwhile.
	Delete(ctx context.Context, t Target) (DeleteJob, error)
	// DeleteJob returns a job of a tenant.
	DeleteJob(ctx context.Context, tenant, id string) (DeleteJob, error)
	// DeleteJobs returns the newest jobs of a tenant.
	DeleteJobs(ctx context.Context, tenant string) ([]DeleteJob, error)
	// Usage returns what the store takes.
	Usage(ctx context.Context) (*Usage, error)
}
