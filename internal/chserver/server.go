package chserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"go.uber.org/zap"
)

// Server runs an embedded ClickHouse. Start, then Stop, are called by one
// goroutine, Start once; the other methods are safe for concurrent use from then
// on.
type Server struct {
	opts Options

	endpoint Endpoint // set by Start
	prober   *prober
	ports    [2]*reservation
	lock     *os.File

	ready     chan struct{} // closed when the server answered for the first time
	readyOnce sync.Once
	stopping  chan struct{} // closed when Stop no longer waits
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu       sync.Mutex
	current  *process
	status   Status
	restarts int
}

var _ EndpointProvider = (*Server)(nil)

// New checks the options.
func New(opts Options) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Server{opts: opts, ready: make(chan struct{}), stopping: make(chan struct{})}, nil
}

// Start prepares the data directory, reserves the ports and has a child started.
// It does not wait for the server to answer; ClickHouse does. While the server of
// a collector that was killed is still ending, Start waits for it until ctx ends.
// A directory in use gives a *LockedError, a missing program or library an error
// that says how to get it.
func (s *Server) Start(ctx context.Context) error {
	if err := checkFiles(s.opts); err != nil {
		return err
	}
	if err := os.MkdirAll(dbPath(s.opts.DataDir), 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	lock, err := lockDir(ctx, s.opts.DataDir)
	if err != nil {
		return fmt.Errorf("lock data directory: %w", err)
	}
	s.lock = lock
	if err := s.prepare(); err != nil {
		return errors.Join(err, s.release())
	}
	run, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.supervise(run) })
	s.wg.Go(func() { newLogTail(logPath(s.opts.DataDir), s.opts.Logger).run(run) })
	return nil
}

func checkFiles(o Options) error {
	for _, f := range []struct{ what, path, target string }{
		{"launcher", o.Launcher, "make build"}, {"library", o.Library, "make deps"},
	} {
		info, err := os.Stat(f.path)
		if err != nil {
			return fmt.Errorf("find the ClickHouse %s (`%s` provides it): %w", f.what, f.target, err)
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("find the ClickHouse %s (`%s` provides it): %s is not a file", f.what, f.target, f.path)
		}
	}
	return nil
}

func (s *Server) prepare() error {
	password, err := loadPassword(s.opts.DataDir)
	if err != nil {
		return err
	}
	for i, port := range []int{s.opts.TCPPort, s.opts.HTTPPort} {
		if s.ports[i], err = reservePort(port); err != nil {
			return err
		}
	}
	if err := writeConfig(s.opts, password); err != nil {
		return err
	}
	s.endpoint = Endpoint{
		Addr: s.ports[0].addr(), HTTPAddr: s.ports[1].addr(),
		Username: User, Password: password,
	}
	s.prober = newProber(s.endpoint)
	return nil
}

// Stop ends the server and returns when it is gone. When ctx ends first, the
// server is killed, which loses nothing that it acknowledged. It does nothing for
// a server that did not start or was stopped before.
func (s *Server) Stop(ctx context.Context) error {
	if s.cancel == nil || s.Status().State == Stopped {
		return nil
	}
	hurry := context.AfterFunc(ctx, func() { close(s.stopping) })
	s.cancel()
	s.wg.Wait()
	hurry()
	s.setStatus(Stopped, nil)
	return s.release()
}

// release gives back the ports and the data directory.
func (s *Server) release() error {
	var errs []error
	for _, p := range s.ports {
		if p != nil {
			errs = append(errs, p.close())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// Endpoint returns how to reach the server; it is empty before Start.
func (s *Server) Endpoint() Endpoint { return s.endpoint }

// ClickHouse implements [EndpointProvider].
func (s *Server) ClickHouse(ctx context.Context) (Endpoint, error) {
	select {
	case <-s.ready:
	case <-ctx.Done():
	}
	select {
	case <-s.ready: // wins over an ended context
		return s.endpoint, nil
	default:
	}
	status := s.Status()
	if status.Err != nil {
		return Endpoint{}, fmt.Errorf("wait for embedded ClickHouse: %w: %w", ctx.Err(), status.Err)
	}
	return Endpoint{}, fmt.Errorf("wait for embedded ClickHouse: %w", ctx.Err())
}

// Status returns the last change of state.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// PID returns the process id of the child, 0 while there is none.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return 0
	}
	return s.current.pid()
}

func (s *Server) setCurrent(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = p
}

func (s *Server) setStatus(state State, err error) {
	s.mu.Lock()
	s.status = Status{State: state, Err: err, Restarts: s.restarts}
	status := s.status
	s.mu.Unlock()
	switch state {
	case Ready:
		s.opts.Logger.Info("embedded ClickHouse is ready", zap.String("address", s.endpoint.Addr), zap.String("data_dir", s.opts.DataDir))
	case Down:
		s.opts.Logger.Warn("embedded ClickHouse is down", zap.Error(err))
	case Starting, Stopped:
	}
	if s.opts.OnStatus != nil {
		s.opts.OnStatus(status)
	}
}
