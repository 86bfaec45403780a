package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// installed reports whether a peer can be run.
func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// version returns what a peer calls itself.
func version(program string) string {
	if !installed(program) {
		return program + " is not installed"
	}
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return program + ": " + err.Error()
	}
	return strings.TrimSpace(string(out))
}

// perfDwarf samples a process with perf, which copies the stacks and unwinds them
// later.
func perfDwarf(ctx context.Context, b *bench, pid, frequency, seconds int) (*shares, error) {
	file := filepath.Join(b.dir, "perf.data")
	defer func() { _ = os.Remove(file) }()
	out, err := exec.CommandContext(ctx, "perf", "record", "-q", "-e", "cpu-clock", "-F", strconv.Itoa(frequency),
		"--call-graph", "dwarf,8192", "-p", strconv.Itoa(pid), "-o", file, "--", "sleep", strconv.Itoa(seconds)).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("run perf record: %w: %s", err, out)
	}
	script := exec.CommandContext(ctx, "perf", "script", "-i", file, "-F", "ip,sym", "--no-inline")
	pipe, err := script.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := script.Start(); err != nil {
		return nil, err
	}
	var s shares
	var stack []string
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 0 && len(stack) > 0:
			s.add(stack, 1)
			stack = stack[:0]
		case len(f) >= 2 && !strings.HasPrefix(f[0], "ffffffff"):
			stack = append(stack, strings.Join(f[1:], " "))
		}
	}
	if len(stack) > 0 {
		s.add(stack, 1)
	}
	if err := script.Wait(); err != nil {
		return nil, fmt.Errorf("run perf script: %w", err)
	}
	if s.samples == 0 {
		return nil, fmt.Errorf("perf found no samples of process %d", pid)
	}
	return &s, nil
}
