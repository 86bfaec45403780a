package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// burnDepth gives stacks of 12 frames: clone, start_thread, worker, burnDepth+1
// times recurse, mid and a leaf.
const burnDepth = 6

// truth is how the leaves of burn.c share its time.
var truth = map[string]float64{"leaf_a": 0.5, "leaf_b": 0.3, "leaf_c": 0.2}

// shares counts stacks of burn.c.
type shares struct {
	samples, complete, leaves int64
	leaf                      map[string]int64
	worstStack                string // the most frequent incomplete one
	worstCount                int64
}

func (s *shares) add(stack []string, n int64) {
	if s.leaf == nil {
		s.leaf = map[string]int64{}
	}
	s.samples += n
	if completeBurn(stack) {
		s.complete += n
	} else if n > s.worstCount {
		s.worstStack, s.worstCount = strings.Join(stack, ";"), n
	}
	if len(stack) > 0 && truth[stack[0]] > 0 {
		s.leaves += n
		s.leaf[stack[0]] += n
	}
}

// completeBurn reports whether a stack of burn.c, leaf first, has all its frames.
// Where the program is between two calls, some of the chain is not there yet.
func completeBurn(stack []string) bool {
	i := 0
	is := func(name string) bool { return i < len(stack) && stack[i] == name }
	leaf := i < len(stack) && truth[stack[i]] > 0
	if leaf {
		i++
	}
	mid := is("mid")
	if leaf && !mid {
		return false
	}
	if mid {
		i++
	}
	depth := 0
	for ; is("recurse"); i++ {
		depth++
	}
	if depth > burnDepth+1 || mid && depth != burnDepth+1 || !is("worker") {
		return false
	}
	// start_thread and clone, which the C library may not name.
	return len(stack) == i+3
}

// completeShare is the part of complete stacks in per cent.
func (s *shares) completeShare() float64 { return 100 * float64(s.complete) / float64(s.samples) }

// worst is the largest difference of a leaf's share from the truth, in points.
func (s *shares) worst() (worst float64) {
	for leaf, part := range truth {
		worst = max(worst, math.Abs(100*float64(s.leaf[leaf])/float64(s.leaves)-100*part))
	}
	return worst
}

func (s *shares) String() string {
	text := fmt.Sprintf("%.2f %% of %d", s.completeShare(), s.samples)
	if s.worstCount > 0 {
		text += fmt.Sprintf(" (incomplete, %d times: `%s`)", s.worstCount, s.worstStack)
	}
	return text
}

// stacks measures samples of a program without frame pointers: their cost at 99 Hz,
// and whether they are right at 999 Hz.
func stacks(ctx context.Context, b *bench) error {
	path, err := b.build("burn.c", fixtures.NoFramePointers...)
	if err != nil {
		return err
	}
	threads := strconv.Itoa(runtime.NumCPU())
	p, err := fixtures.Start(path, []string{threads, strconv.Itoa(burnDepth)}, nil)
	if err != nil {
		return err
	}
	defer func() { _, _ = p.Stop() }()
	return errors.Join(sampleCost(ctx, b, p.PID()), sampleTruth(ctx, b, p.PID()))
}

// sampleCost lets the program's own clock say what a sample costs, while burn.c keeps
// all processors busy.
func sampleCost(ctx context.Context, b *bench, pid int) (err error) {
	a, err := b.start(ctx, agentConfig{profiles: []string{profile.KindCPU}, frequency: 99, interval: time.Second})
	if err != nil {
		return err
	}
	defer func() {
		if a != nil {
			err = errors.Join(err, a.stop())
		}
	}()
	if err := benchkit.Sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	before, err := a.metrics(ctx)
	if err != nil {
		return err
	}
	if err := benchkit.Sleep(ctx, b.duration); err != nil {
		return err
	}
	after, err := a.metrics(ctx)
	if err != nil {
		return err
	}
	samples := after.sum("samples", "profile", "cpu") - before.sum("samples", "profile", "cpu")
	took := after.sum("bpf_time", "profile", "cpu") - before.sum("bpf_time", "profile", "cpu")
	err = a.stop()
	got := burnShares(a, pid)
	a = nil
	if err != nil {
		return err
	}
	each := took / samples / 1000
	b.table.add("BPF time per sample of 12 frames, without frame pointers, 99 Hz", "≤ 5 µs",
		fmt.Sprintf("%.2f µs (%.0f samples)", each, samples), "", each <= 5)
	if float64(got.samples) < 0.5*samples {
		return fmt.Errorf("burn.c has %d of %.0f samples only: the machine is too busy to tell what its samples cost", got.samples, samples)
	}
	return nil
}

// enough samples to tell the shares of the leaves, and the longest time to wait for
// them on a busy machine.
const (
	enough  = 5000
	atLeast = 2500
	patient = time.Minute
)

// sampleTruth compares the stacks with those that burn.c must have.
func sampleTruth(ctx context.Context, b *bench, pid int) error {
	const frequency = 999
	a, err := b.start(ctx, agentConfig{profiles: []string{profile.KindCPU}, frequency: frequency, interval: time.Second})
	if err != nil {
		return err
	}
	err = benchkit.Sleep(ctx, 2*time.Second)
	a.forget()
	began := time.Now()
	var got shares
	for err == nil && got.samples < enough && time.Since(began) < patient {
		err = benchkit.Sleep(ctx, time.Second)
		got = burnShares(a, pid)
	}
	took := time.Since(began)
	if err := errors.Join(err, a.stop()); err != nil {
		return err
	}
	got = burnShares(a, pid)
	peer, peerWorst := "not installed", ""
	if installed("perf") {
		s, err := perfDwarf(ctx, b, pid, frequency, int(took/time.Second)+1)
		if err != nil {
			return err
		}
		peer, peerWorst = "perf --call-graph dwarf: "+s.String(), fmt.Sprintf("perf: %.2f points", s.worst())
	}
	b.table.add("complete stacks, without frame pointers", "≥ 99.5 %", got.String(), peer, got.completeShare() >= 99.5)
	b.table.add("leaf shares: largest error", "≤ 1.5 points", fmt.Sprintf("%.2f points", got.worst()), peerWorst, got.worst() <= 1.5)
	if got.samples < atLeast {
		return fmt.Errorf("%d samples are too few to tell; want %d", got.samples, atLeast)
	}
	return nil
}

// burnShares counts the stacks of a process that runs burn.c.
func burnShares(a *agent, pid int) (s shares) {
	for _, o := range a.of(profile.KindCPU, pid) {
		s.add(o.stack, o.value)
	}
	return s
}
