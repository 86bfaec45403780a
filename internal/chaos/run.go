package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Options say what is run.
type Options struct {
	// Collector, Launcher and Library are the paths of what `make build` and `make
	// deps` put into dist/; Config is the folder of the shipped configurations.
	Collector, Launcher, Library, Config string
	// Seed is what all choices are drawn from. The moment of a fault within the
	// work of the collector is not repeated exactly: that depends on the machine.
	Seed uint64
	// First is the first cycle, counted from 0, and Cycles how many there are.
	First, Cycles int
	// Faults are those to choose from; none means all.
	Faults []Fault
	// Dir is where the data is while it is needed, and where that of failed
	// cycles stays. It is created.
	Dir string
	// Log gets a line for every cycle.
	Log io.Writer
}

// Result is what came out of one cycle.
type Result struct {
	Cycle  int
	Fault  Fault
	Counts Counts
	// Took is the time of the whole cycle.
	Took time.Duration
	// Skipped says why the fault could not be made.
	Skipped string
	// Differences between what was acknowledged and what is stored.
	Differences []string
	// Err is why the cycle could not come to its end: also a failure, because
	// the product did not recover.
	Err error
	// Kept is where the data and the logs of a failed cycle are.
	Kept string

	note  string
	check time.Duration
}

// Failed reports whether the cycle shows a fault of the product.
func (r *Result) Failed() bool { return r.Err != nil || len(r.Differences) > 0 }

// Run runs the cycles one after the other, all of them even if some fail. Its
// error says that the harness itself could not go on.
func Run(ctx context.Context, o Options) ([]Result, error) {
	if len(o.Faults) == 0 {
		o.Faults = Faults
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	r := runner{Options: o}
	var results []Result
	for c := o.First; c < o.First+o.Cycles; c++ {
		if c%era == 0 || c == o.First {
			if err := r.begin(ctx, c); err != nil {
				return results, err
			}
		}
		result, err := r.cycle(ctx, c)
		if ctx.Err() != nil {
			// The cycle says nothing, nor does how its processes end.
			_ = r.detach(context.WithoutCancel(ctx))
			return results, errors.Join(ctx.Err(), r.end(context.WithoutCancel(ctx)))
		}
		results = append(results, result)
		_, _ = fmt.Fprintln(o.Log, result.line(o.First+o.Cycles))
		if err != nil {
			return results, errors.Join(err, r.end(ctx))
		}
	}
	return results, r.end(ctx)
}

// runner runs cycles.
type runner struct {
	Options
	dir  string // of the era
	site *site  // nil while none is attached
	// ledgers of the shared data and of that on the small disk, while it is mounted.
	ledger, small *ledger
}

// begin starts an era with no data.
func (r *runner) begin(ctx context.Context, cycle int) error {
	if err := r.end(ctx); err != nil {
		return err
	}
	r.dir = filepath.Join(r.Dir, fmt.Sprintf("era-%d-%d", r.Seed, cycle))
	r.ledger = newLedger()
	return os.MkdirAll(r.shared(), 0o700)
}

func (r *runner) shared() string { return filepath.Join(r.dir, "shared") }
func (r *runner) smalls() string { return filepath.Join(r.dir, "small") }
func (r *runner) mounted() bool  { return r.small != nil }

// end removes the data of an era.
func (r *runner) end(ctx context.Context) error {
	if r.dir == "" {
		return nil
	}
	err := r.detach(ctx)
	if r.mounted() {
		r.small = nil
		err = errors.Join(err, unmount(r.smalls()))
	}
	if err != nil {
		return err // nothing is removed
	}
	return os.RemoveAll(r.dir)
}

func (r *runner) detach(ctx context.Context) error {
	if r.site == nil {
		return nil
	}
	s := r.site
	r.site = nil
	return s.down(ctx)
}

// attach makes the site of a kind the current one.
func (r *runner) attach(ctx context.Context, kind siteKind) (err error) {
	if r.site != nil && r.site.kind == kind {
		return nil
	}
	if err := r.detach(ctx); err != nil {
		return err
	}
	dir, l := r.shared(), r.ledger
	if kind == smallDisk {
		if !r.mounted() {
			if err := mountSmallDisk(r.smalls()); err != nil {
				return err
			}
			r.small = newLedger()
		}
		dir, l = r.smalls(), r.small
	}
	r.site, err = attach(r.Options, kind, dir, l)
	return err
}
