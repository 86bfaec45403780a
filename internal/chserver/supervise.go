package chserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// The pause before a restart doubles from minPause to maxPause, and starts
	// over after a server that was ready for stableAfter.
	minPause    = 100 * time.Millisecond
	maxPause    = 30 * time.Second
	stableAfter = 30 * time.Second
	// stuckAfter is when a server that starts and does not answer is given up. It
	// is generous because loading many parts from a slow disk takes long.
	stuckAfter = 10 * time.Minute
)

// errStopping ends a child because of Stop.
var errStopping = errors.New("stopping")

// supervise keeps a child running until ctx ends.
func (s *Server) supervise(ctx context.Context) {
	var b backoff
	for {
		ready, err := s.runChild(ctx)
		if ctx.Err() != nil {
			return
		}
		s.setStatus(Down, err)
		if ready >= stableAfter {
			b.reset()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(b.next()):
		}
		s.mu.Lock()
		s.restarts++
		s.mu.Unlock()
	}
}

// runChild starts a child and returns when it is gone: how long it was ready and
// why it ended.
func (s *Server) runChild(ctx context.Context) (ready time.Duration, err error) {
	s.setStatus(Starting, s.Status().Err)
	p, err := startProcess(s.opts, s.ports[0].port, s.ports[1].port, s.lock)
	if err != nil {
		return 0, err
	}
	s.setCurrent(p)
	defer s.setCurrent(nil)

	child, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.wg.Go(func() {
		<-p.done
		cancel(p.err)
	})
	err = s.waitReady(child)
	if err == nil {
		begin := time.Now()
		s.readyOnce.Do(func() { close(s.ready) })
		s.setStatus(Ready, nil)
		err = s.prober.watch(child)
		ready = time.Since(begin)
	}
	return ready, s.end(ctx, p, err)
}

// end makes sure that the child is gone and returns why.
func (s *Server) end(ctx context.Context, p *process, reason error) error {
	if ctx.Err() != nil {
		p.stop(s.stopping)
		return errStopping
	}
	select {
	case <-p.done:
		_ = p.pipe.Close() // a pipe has nothing to flush
		return p.err
	default:
		// It runs but does not answer, so it will not end nicely either.
		p.kill()
		return reason
	}
}

// waitReady asks until the server answers or child ends.
func (s *Server) waitReady(child context.Context) error {
	ctx, cancel := context.WithTimeout(child, stuckAfter)
	defer cancel()
	for {
		err := s.prober.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for server: %w: %w", context.Cause(ctx), err)
		case <-time.After(startPoll):
		}
	}
}

// backoff computes pauses.
type backoff struct{ last time.Duration }

func (b *backoff) reset() { b.last = 0 }

// next returns a pause between half of and the whole of the next step, so that
// servers that died together do not come back together.
func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, minPause), maxPause)
	return b.last/2 + rand.N(b.last/2+1)
}
