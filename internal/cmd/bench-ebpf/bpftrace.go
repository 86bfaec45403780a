package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// bpftrace is a running peer.
type bpftrace struct {
	cmd *exec.Cmd
	out chan string // what it printed, when it has ended
}

// startBpftrace runs a program and waits until it is attached.
func startBpftrace(ctx context.Context, program string) (*bpftrace, error) {
	p := &bpftrace{cmd: exec.CommandContext(ctx, "bpftrace", "-B", "line", "-e", program), out: make(chan string, 1)}
	pipe, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	out := bufio.NewReader(pipe)
	first, err := out.ReadString('\n')
	if err != nil || !strings.HasPrefix(first, "Attaching") {
		return nil, fmt.Errorf("run bpftrace: it says %q: %w", first, errors.Join(err, p.cmd.Wait()))
	}
	go func() {
		rest, _ := io.ReadAll(out)
		p.out <- string(rest)
	}()
	// It says so before it attaches.
	return p, sleep(ctx, 2*time.Second)
}

// stop ends it and returns what it printed.
func (p *bpftrace) stop() (string, error) {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return "", fmt.Errorf("stop bpftrace: %w", err)
	}
	out := <-p.out
	if err := p.cmd.Wait(); err != nil {
		return "", fmt.Errorf("stop bpftrace: %w", err)
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
