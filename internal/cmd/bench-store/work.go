package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// working is the state of the worker.
type working struct {
	endpoint chserver.Endpoint
	queries  *queries
	store    *store
	profile  *os.File
	beside   *besides
	windows  uint64 // stored so far, by which windows are told apart
	buffer   buffer
}

// gcPercent is that of the distribution, where GOGC is not set.
const gcPercent = 75

// work answers calls until in ends.
func work(ctx context.Context, in io.Reader, out io.Writer) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	decoder, encoder := gob.NewDecoder(in), gob.NewEncoder(out)
	w := &working{}
	for {
		var c call
		if err := decoder.Decode(&c); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, w.startProfile(""), w.close(ctx))
		}
		r := &reply{}
		before := usedHere()
		if err := w.do(ctx, &c, r); err != nil {
			r.Err = err.Error()
		}
		if r.CPU == 0 {
			r.CPU = usedHere() - before
		}
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
}

func (w *working) close(ctx context.Context) error {
	if w.store == nil {
		return nil
	}
	err := w.store.close(ctx)
	w.store, w.queries = nil, nil
	return err
}

func (w *working) do(ctx context.Context, c *call, r *reply) error {
	switch {
	case c.Open != nil:
		w.endpoint = *c.Open
		if err := w.close(ctx); err != nil {
			return err
		}
		var err error
		if w.store, err = openStore(ctx, w.endpoint, 0); err != nil {
			return err
		}
		w.queries = newQueries(w.store)
		return nil
	case c.Load != nil:
		return w.load(ctx, c.Load, r)
	case c.Query != nil:
		var err error
		r.Times, err = w.query(ctx, c.Query)
		return err
	case c.Beside != nil && c.Beside.Every > 0:
		w.beside = w.startBeside(ctx, c.Beside)
		return nil
	case c.Beside != nil:
		var err error
		r.Stored, err = w.beside.stop()
		return err
	case c.Profile != nil:
		return w.startProfile(c.Profile.File)
	case c.ResetPeak:
		debug.FreeOSMemory()
		return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	}
	return errors.New("the call says nothing")
}

func (w *working) startProfile(file string) (err error) {
	if w.profile != nil {
		pprof.StopCPUProfile()
		err = w.profile.Close()
		w.profile = nil
	}
	if file == "" || err != nil {
		return err
	}
	if w.profile, err = os.Create(filepath.Clean(file)); err != nil {
		return err
	}
	return pprof.StartCPUProfile(w.profile)
}

// query measures an op. Answers are compared after their time was taken.
func (w *working) query(ctx context.Context, c *queryCall) ([]time.Duration, error) {
	var mu sync.Mutex
	var times []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	end := time.Now().Add(c.For)
	for range c.Clients {
		group.Go(func() error {
			for n := 0; n < c.Min || time.Now().Before(end); n++ {
				begin := time.Now()
				a, err := w.queries.run(ctx, &c.Op)
				took := time.Since(begin)
				if err != nil {
					return fmt.Errorf("%s: %w", c.Op.Name, err)
				}
				if got := a.digest(); got != c.Op.Want {
					return fmt.Errorf("%s: %w: its digest is %016x instead of %016x", c.Op.Name, errNotEqual, got, c.Op.Want)
				}
				mu.Lock()
				times = append(times, took)
				mu.Unlock()
			}
			return nil
		})
	}
	err := group.Wait()
	slices.Sort(times)
	return times, err
}

// usedHere is the CPU time of this process.
func usedHere() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// besides stores windows while something else is measured.
type besides struct {
	cancel context.CancelFunc
	done   chan struct{}
	stored []int
	err    error
}

func (w *working) startBeside(ctx context.Context, c *besideCall) *besides {
	ctx, cancel := context.WithCancel(ctx)
	b := &besides{cancel: cancel, done: make(chan struct{}), stored: make([]int, c.Windows)}
	go func() {
		defer close(b.done)
		tick := time.NewTicker(c.Every)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			// A window that was begun is stored, or its number would not be known.
			if _, _, b.err = w.window(context.WithoutCancel(ctx), &loadCall{Dir: c.Dir}, i%c.Windows); b.err != nil {
				return
			}
			b.stored[i%c.Windows]++
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return b
}

func (b *besides) stop() ([]int, error) {
	b.cancel()
	<-b.done
	return b.stored, b.err
}
