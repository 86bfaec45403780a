package tracker

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

func TestTranslateKeepsWithinTheLimitsOfTheKernel(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	space := h.opts.Symbols.Space(os.Getpid())
	defer space.Close()
	var file *symbol.File
	for _, m := range space.Mappings() {
		if !m.Anonymous {
			file = m.File
			break
		}
	}
	require.True(t, file != nil)
	h.mu.Lock()
	defer h.mu.Unlock()

	ms := []symbol.Mapping{
		{Start: 0x1000, End: 0x2000, Bias: 0x500, File: file},
		{Start: 0x2000, End: 0x3000, Bias: 0x500, File: file},
		{Start: 0x3000, End: 0x4000, Bias: 0x600, File: file},
		{Start: 0x5000, End: 0x6000, Bias: 0x5000, File: file, Anonymous: true},
		{Start: 0x7000, End: 0x8000, File: file, Anonymous: true},
		{Start: 0xffffffffff600000, End: 0xffffffffff601000, File: file},
	}
	got, uses := h.translate(ms)
	require.Len(t, uses, 1)
	id := uses[0]
	assert.Equal(t, []bpf.Mapping{
		{Start: 0x1000, End: 0x3000, Bias: 0x500, Executable: id},
		{Start: 0x3000, End: 0x4000, Bias: 0x600, Executable: id},
		{Start: 0x5000, End: 0x6000},
		{Start: 0x7000, End: 0x8000},
	}, got)

	// Code without a file is joined before anything is dropped.
	ms = ms[:1]
	for i := range uint64(5000) {
		at := 0x100000 + i*0x2000
		ms = append(ms, symbol.Mapping{Start: at, End: at + 0x1000, File: file, Anonymous: true})
	}
	got, _ = h.translate(ms)
	assert.Equal(t, []bpf.Mapping{
		{Start: 0x1000, End: 0x2000, Bias: 0x500, Executable: id},
		{Start: 0x100000, End: 0x100000 + 4999*0x2000 + 0x1000},
	}, got)
	assert.Zero(t, h.stats.MappingsDropped)

	ms = nil
	for i := range uint64(bpf.MaxMappings + 7) {
		ms = append(ms, symbol.Mapping{Start: i * 0x1000, End: i*0x1000 + 0x1000, Bias: i, File: file})
	}
	got, _ = h.translate(ms)
	assert.Len(t, got, bpf.MaxMappings)
	assert.EqualValues(t, 7, h.stats.MappingsDropped)
}

func TestContains(t *testing.T) {
	ms := []bpf.Mapping{{Start: 10, End: 20}, {Start: 20, End: 30}, {Start: 40, End: 50}}
	for addr, want := range map[uint64]bool{9: false, 10: true, 19: true, 20: true, 29: true, 30: false, 39: false, 49: true, 50: false} {
		assert.Equal(t, want, contains(ms, addr), addr)
	}
	assert.False(t, contains(nil, 0))
}

func TestLimiter(t *testing.T) {
	l := limiter{rate: 2, burst: 3}
	now := time.Unix(1000, 0)
	for range 3 {
		assert.True(t, l.allow(now))
	}
	assert.False(t, l.allow(now))
	now = now.Add(500 * time.Millisecond)
	assert.True(t, l.allow(now))
	assert.False(t, l.allow(now))
	now = now.Add(time.Hour)
	for range 3 {
		assert.True(t, l.allow(now))
	}
	assert.False(t, l.allow(now))
}

func TestNoticesThatDoNotFit(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	id := h.executable(p)
	// The kernel has asked for a table and waits for it: that notice is lost.
	require.NoError(t, h.kernel.SetExecutable(id, bpf.Executable{State: bpf.ExecRequested}))
	h.work.Lock()
	for range 3 * maxNotices { // those that are being handled may be as many
		h.Notify(bpf.Notice{Kind: bpf.NoticeUnknownMapping, PID: 1 << 30})
	}
	h.work.Unlock()
	h.settle()
	require.Eventually(t, func() bool { return h.kernel.state(id) == bpf.ExecUnknown }, ebpftest.Patience, time.Millisecond,
		"the kernel can ask again")
	s := h.Stats()
	assert.Positive(t, s.NoticesDropped)
	assert.Positive(t, s.Resyncs)

	// The kernel can lose some, too.
	require.NoError(t, h.kernel.SetExecutable(id, bpf.Executable{State: bpf.ExecRequested}))
	h.Resync()
	require.Eventually(t, func() bool { return h.kernel.state(id) == bpf.ExecUnknown }, ebpftest.Patience, time.Millisecond)
}

func TestFilesWithoutUnwindInformation(t *testing.T) {
	h := newHarness(t, unwind.PoolOptions{}, nil)
	p := start(t, self(t))
	h.follow(p)
	// A file that is no executable at all can be mapped as one.
	name := filepath.Join(t.TempDir(), "hostile")
	require.NoError(t, os.WriteFile(name, append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 1<<20)...), 0o600))
	addr, err := strconv.ParseUint(p.tell("map "+name), 0, 64)
	require.NoError(t, err)
	h.Notify(bpf.Notice{Kind: bpf.NoticeUnknownMapping, PID: p.pid(), Image: p.image, Addr: addr})
	var f bpf.Frame
	require.Eventually(t, func() (ok bool) {
		f, ok = h.kernel.frame(p.pid(), p.image, addr, true)
		return ok
	}, ebpftest.Patience, time.Millisecond)
	require.NotZero(t, f.Executable())
	h.want(f.Executable())
	assert.Equal(t, bpf.ExecFramePointers, h.kernel.state(f.Executable()))
	assert.Len(t, h.Stats().BuildErrors, 1)
	assert.Equal(t, name, h.Resolve(p.pid(), p.image, f).File.Path)
}

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	h := newHarness(t, oneTable(t), nil)
	paths := []string{self(t), copyOf(t, 1), copyOf(t, 2)}
	var ended sync.WaitGroup
	done := make(chan struct{})
	for _, f := range []func(){
		h.Tick, h.Resync, func() { h.Stats() }, func() { h.Touch(1) },
		func() { h.Resolve(uint32(os.Getpid()), 1, bpf.Frame(1<<48|1)) },
	} {
		ended.Add(1)
		go func() {
			defer ended.Done()
			for {
				select {
				case <-done:
					return
				default:
					f()
					time.Sleep(time.Millisecond)
				}
			}
		}()
	}
	for i := range 12 {
		p := start(t, paths[i%len(paths)])
		h.notify(bpf.NoticeExec, p.pid(), p.image)
		addr, _ := textOf(t, p.pid(), p.cmd.Path)
		f := h.Resolve(p.pid(), p.image, bpf.Frame(addr|1<<63))
		assert.True(t, f.File != nil, i)
		assert.Equal(t, "tracked", h.Process(p.pid(), p.image).Info("", 1).Service)
		for id := range uint16(6) {
			h.Notify(bpf.Notice{Kind: bpf.NoticeWantTable, Executable: id})
		}
		h.Notify(bpf.Notice{Kind: bpf.NoticeUnknownMapping, PID: p.pid(), Image: p.image, Addr: 1})
		p.stop()
		h.notify(bpf.NoticeExit, p.pid(), p.image)
	}
	close(done)
	ended.Wait()
	assert.Zero(t, h.Stats().KernelErrors)
	h.settle()
	h.mu.RLock()
	defer h.mu.RUnlock()
	tables := len(h.building.freed)
	for _, x := range h.executables.byID {
		if x != nil && x.table != nil {
			tables++
		}
	}
	assert.Equal(t, h.pool.Stats().Tables, tables, "no table is lost")
}
