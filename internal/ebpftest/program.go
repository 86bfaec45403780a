package ebpftest

import (
	"errors"
	"os"
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
)

// BuildC compiles a ground truth program of package fixtures, which lists their
// names, and returns its path. Without flags it is built without frame pointers.
// The test is skipped if there is no compiler, or fails if [RequiredEnv] is 1.
// Despite the name it builds those in other languages, too.
func BuildC(tb testing.TB, name string, flags ...string) string {
	tb.Helper()
	path, err := fixtures.Build(tb.TempDir(), name, flags...)
	switch {
	case errors.Is(err, fixtures.ErrNoCompiler) && os.Getenv(RequiredEnv) != "1":
		skipped(err)
		tb.Skip(err)
	case err != nil:
		tb.Fatal(err)
	}
	return path
}

// Program is a running ground truth program of a test.
type Program struct {
	tb testing.TB
	p  *fixtures.Program
}

// Start runs a program which [BuildC] built. It ends with the test at the latest.
func Start(tb testing.TB, path string, args ...string) *Program {
	tb.Helper()
	return StartEnv(tb, nil, path, args...)
}

// StartEnv is [Start] with further environment variables (`KEY=value`).
func StartEnv(tb testing.TB, env []string, path string, args ...string) *Program {
	tb.Helper()
	p, err := fixtures.Start(path, args, env)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = p.Stop() })
	return &Program{tb: tb, p: p}
}

// PID returns the process id.
func (p *Program) PID() int { return p.p.PID() }

// Wait waits until the program has reported, which those do by themselves whose
// work has an end (storm, futex, syscalls, cost). It still runs afterwards.
func (p *Program) Wait() { <-p.p.Done() }

// Rest makes a program rest that can, and returns when it does: all that it did is
// over and not in its report.
func (p *Program) Rest() {
	p.tb.Helper()
	if err := p.p.Rest(); err != nil {
		p.tb.Fatal(err)
	}
}

// Continue makes a program that rests go on. Its report begins here.
func (p *Program) Continue() {
	p.tb.Helper()
	if err := p.p.Continue(); err != nil {
		p.tb.Fatal(err)
	}
}

// Stop ends the program and returns its report, the same each time.
func (p *Program) Stop() fixtures.Report {
	p.tb.Helper()
	r, err := p.p.Stop()
	if err != nil {
		p.tb.Fatal(err)
	}
	return r
}
