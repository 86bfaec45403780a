package main

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// call is what the worker is asked to do: one of the fields.
type call struct {
	Open    *chserver.Endpoint // opens the store, anew if it was
	Load    *loadCall
	Query   *queryCall
	Beside  *besideCall
	Profile *profileCall
	// ResetPeak gives back unused memory and forgets the largest resident set.
	ResetPeak bool
}

// loadCall stores windows First to First+N-1 of a folder, or, with Discard, only
// takes them apart.
type loadCall struct {
	Dir         string
	First, N    int
	Pprof       bool
	Discard     bool
	Concurrency int
	Shift       time.Duration // later, of pprof
}

// queryCall repeats an op by so many clients at once for some time, but each at
// least Min times.
type queryCall struct {
	Op      op
	Clients int
	Min     int
	For     time.Duration
}

// besideCall begins to store windows of a folder in turns, one each Every; with an
// Every of 0 it ends.
type besideCall struct {
	Dir     string
	Windows int
	Every   time.Duration
}

// profileCall begins to write a CPU profile to a file, unless that is empty, and
// ends the one before.
type profileCall struct{ File string }

// reply answers a call.
type reply struct {
	Err string
	// Values and Events are those of a load.
	Values, Events uint64
	// CPU is what the worker used for it.
	CPU time.Duration
	// Times are those of queries.
	Times []time.Duration
	// Stored is how often each window of a besideCall was stored.
	Stored []int
}

const workerArgument = "worker"

// worker is the process that has the store.
type worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	encoder *gob.Encoder
	decoder *gob.Decoder
}

func startWorker(logFile string) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	log, err := os.Create(filepath.Clean(logFile))
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	defer func() { _ = log.Close() }()
	w := &worker{cmd: exec.Command(self, workerArgument)}
	w.cmd.Stderr = log
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	w.encoder, w.decoder = gob.NewEncoder(w.in), gob.NewDecoder(out)
	return w, nil
}

func (w *worker) pid() int { return w.cmd.Process.Pid }

// call waits for the answer.
func (w *worker) call(c call) (*reply, error) {
	if err := w.encoder.Encode(&c); err != nil {
		return nil, fmt.Errorf("call worker: %w", err)
	}
	var r reply
	if err := w.decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("call worker: %w", err)
	}
	if r.Err != "" {
		return nil, errors.New(r.Err)
	}
	return &r, nil
}

func (w *worker) stop() error {
	if err := w.in.Close(); err != nil {
		return fmt.Errorf("stop worker: %w", err)
	}
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("stop worker: %w", err)
	}
	return nil
}

func (w *worker) peak() (uint64, error) { return benchkit.PeakRSS(w.pid()) }
