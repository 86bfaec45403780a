package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// Unlike the collector, bpftrace needs tracefs. Where it is not mounted, it gets one
// in a mount namespace of its own.
const mountTracing = `test -e /sys/kernel/tracing/events || mount -t tracefs nodev /sys/kernel/tracing; exec bpftrace -B line -e "$0"`

// bpftrace is a running peer.
type bpftrace struct {
	cmd    *exec.Cmd
	out    chan string // what it printed, when it has ended
	stderr bytes.Buffer
}

// startBpftrace runs a program and waits until it is attached.
func startBpftrace(ctx context.Context, program string) (*bpftrace, error) {
	p := &bpftrace{cmd: exec.CommandContext(ctx, "unshare", "--mount", "sh", "-c", mountTracing, program), out: make(chan string, 1)}
	p.cmd.Env = append(os.Environ(), "BPFTRACE_MAP_KEYS_MAX=65536") // the default is too small for a busy host
	pipe, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = &p.stderr // with a warning that does not matter
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	out := bufio.NewReader(pipe)
	first, err := out.ReadString('\n')
	if err != nil || !strings.HasPrefix(first, "Attaching") {
		return nil, fmt.Errorf("run bpftrace: %w: %s%s", errors.Join(err, p.cmd.Wait()), first, &p.stderr)
	}
	go func() {
		rest, _ := io.ReadAll(out)
		p.out <- string(rest)
	}()
	// It says so before it attaches.
	return p, benchkit.Sleep(ctx, 2*time.Second)
}

// stop ends it and returns what it printed.
func (p *bpftrace) stop() (string, error) {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return "", fmt.Errorf("stop bpftrace: %w", err)
	}
	out := <-p.out
	if err := p.cmd.Wait(); err != nil {
		return "", fmt.Errorf("stop bpftrace: %w: %s", err, &p.stderr)
	}
	return out, nil
}

// withBpftrace runs fn while a program is attached, whose output must contain want
// at the end.
func withBpftrace(ctx context.Context, program string, fn func() (want string, err error)) error {
	p, err := startBpftrace(ctx, program)
	if err != nil {
		return err
	}
	want, fnErr := fn()
	out, err := p.stop()
	if err := errors.Join(fnErr, err); err != nil {
		return err
	}
	if !strings.Contains(out, want) {
		return fmt.Errorf("bpftrace did not see %q", want)
	}
	return nil
}
