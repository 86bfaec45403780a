package bpf_test

import (
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

// stackSet keeps copies of all stacks that were sent.
type stackSet struct {
	mu    sync.Mutex
	byKey map[uint64]bpf.Stack
	sent  int
}

func (s *stackSet) add(st *bpf.Stack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cp := *st
	cp.Kernel, cp.User = slices.Clone(st.Kernel), slices.Clone(st.User)
	s.byKey[st.Hash] = cp
	s.sent++
}

func (s *stackSet) get(h uint64) (bpf.Stack, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.byKey[h]
	return st, ok
}

// open returns a Host without profiles and the stacks that it will send.
func open(t *testing.T, opts bpf.Options) (*bpf.Host, *stackSet) {
	t.Helper()
	set := &stackSet{byKey: map[uint64]bpf.Stack{}}
	opts.OnStack = set.add
	if opts.MaxChunks == 0 {
		opts.MaxChunks = 16
	}
	h, err := bpf.Open(opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, h.Close()) })
	return h, set
}

func openCPU(t *testing.T, frequency int, opts bpf.Options) (*bpf.Host, *bpf.CPU, *stackSet) {
	t.Helper()
	h, set := open(t, opts)
	c, err := h.StartCPU(frequency)
	require.NoError(t, err)
	return h, c, set
}

func total(counts []bpf.Count) (n uint64) {
	for _, c := range counts {
		n += c.Count
	}
	return n
}

// TestCPUSwapLosesNothing swaps the maps as often as it can at the highest
// frequency and finds every sample that the program counted.
func TestCPUSwapLosesNothing(t *testing.T) {
	ebpftest.Require(t)
	ebpftest.StartBusy(t, 2)
	h, c, set := openCPU(t, 1000, bpf.Options{MaxEntries: 65536})
	var sum, unknown uint64
	var counts []bpf.Count
	collect := func() {
		var err error
		counts, err = h.Collect(counts[:0])
		require.NoError(t, err)
		for _, n := range counts {
			if _, ok := set.get(n.Hash); !ok {
				unknown += n.Count
			}
		}
		sum += total(counts)
	}
	begin := time.Now()
	ebpftest.Await(t, "samples for two seconds", func() bool {
		for range 1000 {
			collect()
		}
		return sum > 0 && time.Since(begin) > 2*time.Second
	})
	require.NoError(t, c.Stop())
	collect()
	collect() // what the last swap left in the other map
	s, err := c.Stats()
	require.NoError(t, err)
	require.Positive(t, sum)
	assert.Equal(t, s[bpf.Samples], sum)
	if s[bpf.RingFull] == 0 { // which it is when nobody has a processor to read it
		assert.Zero(t, unknown, "every counted stack was sent before Collect returned")
	}
	assertRunsAddUp(t, s)
}

// awaitStats waits until the counters of a profile are as they must become.
func awaitStats(t *testing.T, p bpf.Profile, done func(bpf.Stats) bool) {
	t.Helper()
	ebpftest.Await(t, "events", func() bool {
		s, err := p.Stats()
		require.NoError(t, err)
		return done(s)
	})
}

// assertRunsAddUp checks that every event is accounted for once, and every user
// stack has an end.
func assertRunsAddUp(t *testing.T, s bpf.Stats) {
	t.Helper()
	var sum, ends uint64
	for c := bpf.Idle; c <= bpf.Samples; c++ {
		sum += s[c]
	}
	assert.Equal(t, s[bpf.Runs], sum)
	for e := range bpf.Ends {
		ends += s.Ended(e)
	}
	assert.LessOrEqual(t, ends, s[bpf.Runs])
}

// TestCPUCountsBusyTime compares the samples of a process with the CPU time
// that the kernel charged it.
func TestCPUCountsBusyTime(t *testing.T) {
	ebpftest.Require(t)
	const hz = 499
	h, c, set := openCPU(t, hz, bpf.Options{MaxEntries: 65536})
	busy := ebpftest.StartBusy(t, 2)
	ebpftest.AwaitCPU(t, busy.PID(), 5*time.Second)
	report := busy.Stop()
	require.NoError(t, c.Stop())
	counts, err := h.Collect(nil)
	require.NoError(t, err)
	var samples float64
	for _, n := range counts {
		if st, ok := set.get(n.Hash); ok && int(st.PID) == busy.PID() {
			samples += float64(n.Count)
		}
	}
	// Each time on a processor is rounded to whole samples: of 2500 samples, six
	// standard deviations are 6 % at the most.
	assert.InEpsilon(t, report.CPUSeconds*hz, samples, 0.06)
}

func TestCPUExcludesPID(t *testing.T) {
	ebpftest.Require(t)
	busy := ebpftest.StartBusy(t, 1)
	h, c, set := openCPU(t, 499, bpf.Options{MaxEntries: 1024, ExcludePID: busy.PID()})
	awaitStats(t, c, func(s bpf.Stats) bool { return s[bpf.Skipped] > 100 })
	_, err := h.Collect(nil)
	require.NoError(t, err)
	set.mu.Lock() // stacks still arrive
	defer set.mu.Unlock()
	for _, st := range set.byKey {
		assert.NotEqual(t, busy.PID(), int(st.PID))
	}
}

// TestCPUTargets profiles only the process that is marked.
func TestCPUTargets(t *testing.T) {
	ebpftest.Require(t)
	notices := make(chan bpf.Notice, 4096)
	ebpftest.StartBusy(t, 1)
	busy := ebpftest.StartBusy(t, 1)
	h, c, set := openCPU(t, 499, bpf.Options{MaxEntries: 1024, Targeted: true, OnNotice: func(n bpf.Notice) {
		select {
		case notices <- n:
		default:
		}
	}})
	for n := range notices {
		if n.Kind == bpf.NoticeUnknownProcess && int(n.PID) == busy.PID() {
			require.NoError(t, h.SetProcess(n.PID, n.Image, true, nil))
			break
		}
	}
	awaitStats(t, c, func(s bpf.Stats) bool { return s[bpf.Samples] > 0 && s[bpf.Filtered] > 0 })
	counts, err := h.Collect(nil)
	require.NoError(t, err)
	assert.NotEmpty(t, counts)
	for _, n := range counts {
		st, _ := set.get(n.Hash)
		assert.EqualValues(t, busy.PID(), st.PID)
		assert.Equal(t, bpf.EndNoMapping, st.End)
	}
}

// TestCPUOverload counts exactly what does not fit a map of two entries.
func TestCPUOverload(t *testing.T) {
	ebpftest.Require(t)
	ebpftest.StartBusy(t, 4)
	h, c, _ := openCPU(t, 999, bpf.Options{MaxEntries: 2})
	awaitStats(t, c, func(s bpf.Stats) bool { return s[bpf.HashFull] > 0 })
	require.NoError(t, c.Stop())
	counts, err := h.Collect(nil)
	require.NoError(t, err)
	s, err := c.Stats()
	require.NoError(t, err)
	assert.LessOrEqual(t, len(counts), 2)
	assert.Equal(t, s[bpf.Samples], total(counts))
	assertRunsAddUp(t, s)
}

// TestCPUSendsStacksOnce checks that stacks survive intervals without being
// sent again, and that Forget has them sent again.
func TestCPUSendsStacksOnce(t *testing.T) {
	ebpftest.Require(t)
	ebpftest.StartBusy(t, 2)
	h, c, set := openCPU(t, 999, bpf.Options{MaxEntries: 65536})
	for i := range uint64(3) {
		awaitStats(t, c, func(s bpf.Stats) bool { return s[bpf.Samples] > (i+1)*300 })
		_, err := h.Collect(nil)
		require.NoError(t, err)
	}
	set.mu.Lock()
	// Two processors that see a stack for the first time at once both send it, which
	// is rare, and again where the ring was full.
	assert.LessOrEqual(t, set.sent, len(set.byKey)+len(set.byKey)/10+2, "each stack is sent once")
	set.byKey, set.sent = map[uint64]bpf.Stack{}, 0
	set.mu.Unlock()

	require.NoError(t, h.Forget())
	_, err := h.Collect(nil) // may hold stacks from before Forget
	require.NoError(t, err)
	time.Sleep(300 * time.Millisecond)
	counts, err := h.Collect(nil)
	require.NoError(t, err)
	for _, n := range counts {
		_, ok := set.get(n.Hash)
		assert.True(t, ok, "stacks are sent again after Forget")
	}
}

// TestCPUSetFrequency changes the rate while it runs, up and down.
func TestCPUSetFrequency(t *testing.T) {
	ebpftest.Require(t)
	_, c, _ := openCPU(t, 97, bpf.Options{MaxEntries: 1024})
	cpus := runtime.NumCPU()
	ebpftest.StartBusy(t, cpus)
	fires := func(frequency int) {
		t.Helper()
		// The counters are read some time within the calls.
		early := time.Now()
		before, err := c.Stats()
		require.NoError(t, err)
		late := time.Now()
		time.Sleep(time.Second)
		least := time.Since(late).Seconds()
		after, err := c.Stats()
		require.NoError(t, err)
		most := time.Since(early).Seconds()
		got, hz := float64(after[bpf.Runs]-before[bpf.Runs]), float64(frequency*cpus)
		assert.GreaterOrEqual(t, got, 0.7*least*hz, "%d Hz", frequency)
		assert.LessOrEqual(t, got, 1.3*most*hz, "%d Hz", frequency)
	}
	fires(97)
	restore := c.SpoilClocks()
	require.Error(t, c.SetFrequency(0))
	assert.Equal(t, 97, c.Frequency())
	require.ErrorContains(t, c.SetFrequency(499), "set clock of processor 0 to 499 Hz")
	require.Error(t, c.Follow())
	restore()
	fires(97)
	require.NoError(t, c.Follow())
	assert.Equal(t, 499, c.Frequency())
	fires(499)
	require.NoError(t, c.SetFrequency(49))
	fires(49)
}

// TestNotices hears of a program that begins and ends.
func TestNotices(t *testing.T) {
	ebpftest.Require(t)
	notices := make(chan bpf.Notice, 65536)
	open(t, bpf.Options{MaxEntries: 128, OnNotice: func(n bpf.Notice) { notices <- n }})
	cmd := exec.Command("/bin/true")
	require.NoError(t, cmd.Run())
	want := map[bpf.NoticeKind]bool{bpf.NoticeExec: true, bpf.NoticeExit: true}
	var image uint64
	for n := range notices {
		if int(n.PID) != cmd.Process.Pid || !want[n.Kind] {
			continue
		}
		assert.True(t, image == 0 || n.Image >= image, "exec makes the image larger")
		image = n.Image
		if delete(want, n.Kind); len(want) == 0 {
			break
		}
	}
}
