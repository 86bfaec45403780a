package e2e

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/exporter/xexporter"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/exporter/clickhouseprofilesexporter"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// A collector whose queue on the disk was filled while ClickHouse was away starts
// as one with an empty queue does: it is ready as soon, its memory is bounded by a
// few windows, and everything is stored once. BenchmarkQueue has 1 GB.
func TestStartWithFullQueue(t *testing.T) { startWithQueue(t, 48<<20) }

func BenchmarkQueue(b *testing.B) {
	for b.Loop() {
		r := startWithQueue(b, 1<<30)
		b.ReportMetric(float64(r.bytes)/1e6, "MB-queue")
		b.ReportMetric(r.ready.Seconds(), "s-ready")
		b.ReportMetric(r.drained.Seconds(), "s-drained")
		b.ReportMetric(float64(r.atReady)/1e6, "MB-anon-ready")
		b.ReportMetric(float64(r.peak)/1e6, "MB-anon-peak")
		b.ReportMetric(float64(r.mapped)/1e6, "MB-file-peak")
	}
}

// queueResult is what a start took. Memory is that of the process alone (RssAnon);
// mapped are pages of its files (RssFile), the queue's among them, which the kernel
// takes back as it likes.
type queueResult struct {
	bytes           int64
	empty, ready    time.Duration
	drained         time.Duration
	idle, atReady   int64
	peak, mapped    int64
	windows, events uint64
}

// queueWindowBytes is about the size of a window of these, queueStacks how many
// samples it has, each of a stack of its own.
const (
	queueWindowBytes = 1 << 20
	queueStacks      = 18_000
)

func startWithQueue(tb testing.TB, size int64) queueResult {
	tb.Helper()
	var r queueResult
	server := newServer(tb)
	server.start()
	c := newGateway(tb, server, "yaml:exporters::clickhouse_profiles::sending_queue::queue_size: 1000000000")

	begin := time.Now()
	c.startReady()
	r.empty = time.Since(begin)
	r.idle = c.memory()["RssAnon"]
	c.stop()

	r.windows = uint64(size / queueWindowBytes)
	r.events = r.windows * queueStacks
	queue := filepath.Join(c.dir, "data", "queue")
	fillQueue(tb, queue, r.windows)
	files, err := filepath.Glob(filepath.Join(queue, "*"))
	require.NoError(tb, err)
	for _, f := range files {
		info, err := os.Stat(f)
		require.NoError(tb, err)
		r.bytes += info.Size()
	}
	require.Greater(tb, r.bytes, size*7/10)

	begin = time.Now()
	c.startReady()
	r.ready = time.Since(begin)
	r.atReady = c.memory()["RssAnon"]
	watch := c.watchMemory()
	for deadline := time.Now().Add(10 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		got := c.events("", "queued")
		if got == r.events {
			break
		}
		require.Less(tb, got, r.events, "something is there twice")
		require.True(tb, time.Now().Before(deadline), "%d of %d observations are stored\n%s", got, r.events, lazy(c.tail))
	}
	r.drained = time.Since(begin)
	r.peak, r.mapped = watch()
	stored := c.storedBatches("queued")
	assert.Len(tb, stored, int(r.windows))
	for sequence, n := range stored {
		require.Equal(tb, 1, n, "batch %d", sequence)
	}
	c.stop()
	tb.Logf("queue of %d MB: ready after %s (empty: %s), drained after %s; RssAnon %d MB idle, %d MB when ready, %d MB at most; RssFile %d MB at most",
		r.bytes>>20, r.ready.Round(time.Millisecond), r.empty.Round(time.Millisecond), r.drained.Round(time.Millisecond),
		r.idle>>20, r.atReady>>20, r.peak>>20, r.mapped>>20)
	// Two windows at a time, as they are in memory and as columns, whatever waits.
	assert.Less(tb, r.peak-r.idle, int64(400<<20), "memory does not grow with the queue")
	return r
}

// memory reads what /proc says of the collector's memory, in bytes.
func (c *collector) memory() map[string]int64 {
	out := make(map[string]int64)
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return out
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			out[name] = n << 10
		}
	}
	return out
}

// watchMemory looks at the memory until its result is called, which returns the
// most there was.
func (c *collector) watchMemory() (stop func() (anon, file int64)) {
	end := make(chan struct{})
	var done sync.WaitGroup
	var anon, file int64
	done.Go(func() {
		for {
			m := c.memory()
			anon, file = max(anon, m["RssAnon"]), max(file, m["RssFile"])
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return func() (int64, int64) {
		close(end)
		done.Wait()
		return anon, file
	}
}

// fillQueue puts windows into the queue of the gateway's exporter, as a collector
// does whose store is away.
func fillQueue(tb testing.TB, dir string, windows uint64) {
	tb.Helper()
	storageID, storeID := component.MustNewIDWithName("file_storage", "queue"), component.MustNewID("profile_store")
	sf := filestorage.NewFactory()
	sc := sf.CreateDefaultConfig().(*filestorage.Config)
	sc.Directory, sc.CreateDirectory = dir, true
	sset := extensiontest.NewNopSettings(sf.Type())
	sset.ID = storageID
	storage, err := sf.Create(tb.Context(), sset, sc)
	require.NoError(tb, err)
	require.NoError(tb, storage.Start(tb.Context(), componenttest.NewNopHost()))

	ef := clickhouseprofilesexporter.NewFactory().(xexporter.Factory)
	ec := ef.CreateDefaultConfig().(*clickhouseprofilesexporter.Config)
	ec.Store = storeID
	q := ec.QueueConfig.Get()
	q.StorageID, q.WaitForResult, q.QueueSize = &storageID, false, 1_000_000_000
	eset := exportertest.NewNopSettings(ef.Type())
	eset.ID = component.NewID(ef.Type()) // names the file
	exporter, err := ef.CreateProfiles(tb.Context(), eset, ec)
	require.NoError(tb, err)
	require.NoError(tb, exporter.Start(tb.Context(), extensions{storageID: storage, storeID: &awayStore{}}))
	pd, resource := queuedWindow()
	for n := range windows {
		a := resource.Resource().Attributes()
		a.PutStr(profile.AttrWindowID, fmt.Sprint("window ", n))
		a.PutInt(profile.AttrBatchSequence, int64(n))
		require.NoError(tb, exporter.ConsumeProfiles(tb.Context(), pd))
	}
	require.NoError(tb, exporter.Shutdown(tb.Context()))
	require.NoError(tb, storage.Shutdown(tb.Context()))
}

// queuedWindow makes a window of CPU samples: 2,000 functions, stacks of 16 frames.
func queuedWindow() (pprofile.Profiles, pprofile.ResourceProfiles) {
	now := time.Now()
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	a := rp.Resource().Attributes()
	a.PutStr("service.name", "queued")
	a.PutStr(profile.AttrAgentID, "queued")
	a.PutInt(profile.AttrBatchEventCount, queueStacks)
	a.PutInt(profile.AttrBatchReceivedAt, now.UnixNano())
	p := b.AddProfile(rp.ScopeProfiles().AppendEmpty(), profile.KindCPU, profile.Types(profile.KindCPU)[0],
		profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, 10_101_010)
	p.SetTime(pcommon.NewTimestampFromTime(now))
	p.SetDurationNano(uint64(time.Second))
	locations := make([]int32, 2000)
	for i := range locations {
		f := b.Function(profile.Function{Name: fmt.Sprintf("github.com/example/service/package_%d.(*Type).Method%d", i%50, i), Filename: fmt.Sprintf("package_%d/file.go", i%50)})
		locations[i] = b.Location(0, uint64(i), profile.FrameGo, profile.Line{Function: f, Line: int64(i)})
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range queueStacks {
		stack := make([]int32, 16)
		for j := range stack {
			stack[j] = locations[rnd.IntN(len(locations))]
		}
		s := p.Samples().AppendEmpty()
		s.SetStackIndex(b.Stack(stack))
		s.Values().Append(1)
	}
	return b.Profiles(), rp
}

type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// awayStore takes nothing.
type awayStore struct {
	component.StartFunc
	component.ShutdownFunc
}

func (*awayStore) Write(context.Context, *profilestore.Window) error {
	return profilestore.ErrUnavailable
}
