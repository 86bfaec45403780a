package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// watchParent makes the process end at the latest grace after the last writer
// of the pipe stdin is gone, when it closes the channel it returns. Normally the server ends by itself, because its
// last query reaches the end of the input; the watcher is for a server that is
// still starting, or stuck.
//
// The parent starts this process with SIGKILL as its death signal, for the time
// before the watcher runs. The signal is then taken back: it would cut off a
// server that is ending cleanly.
//
// As long as the pipe is open, signals that ask to end are ignored: a service
// manager sends them to all processes of a service at once, and the collector
// still has data to store then.
func watchParent(stdin int, grace time.Duration) (<-chan struct{}, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(stdin, &stat); err != nil {
		return nil, fmt.Errorf("inspect standard input: %w", err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, errors.New("inspect standard input: not a pipe: the server lives as long as the pipe its parent holds")
	}
	signal.Ignore(endSignals...)
	gone := make(chan struct{})
	go func() {
		waitHangup(stdin)
		close(gone)
		signal.Reset(endSignals...)
		time.Sleep(grace)
		fmt.Fprintf(os.Stderr, "clickhouse-embedded: server did not end within %s of its parent closing the pipe\n", grace)
		os.Exit(exitGrace)
	}()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("clear death signal: %w", err)
	}
	return gone, nil
}

var endSignals = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP}

// waitHangup returns when the pipe has no writer any more, or cannot be polled.
func waitHangup(pipe int) {
	fds := []unix.PollFd{{Fd: int32(pipe)}} // no events asked for: hang-up and error are always reported
	for {
		n, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) || (err == nil && n == 0) {
			continue
		}
		return
	}
}
