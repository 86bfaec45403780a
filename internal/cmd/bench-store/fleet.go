package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// fleet is what was generated, and all that is known of it.
type fleet struct {
	corpus *corpus.Corpus
	start  int64
	hour   *facts // of the first hour, which is copied
	// one is the service, of the median number of samples, that queries of one
	// service ask for, and pod one of its pods.
	one int
	pod int
	// pprof and beside are of the windows that are stored apart, after the hours.
	pprof, beside *facts
}

// facts are sums of what was drawn, made without any of the code under test.
type facts struct {
	*corpus.Sums
	windows int
	bytes   int64
	// profiles are the totals of all.
	profiles []drawn
	// samples are those of CPU profiles of one service.
	samples []sample
	// cpu sums the CPU samples by window.
	cpu []int64
}

// drawn is one profile. sample is one sample of it.
type (
	drawn struct {
		service, pod int32
		kind         string
		start        int64
		value        int64 // sum of the first type
	}
	sample struct {
		pod   int32
		start int64
		stack uint64
		value int64
	}
)

// besideWindows are stored in turns beside queries.
const besideWindows = 40

func windowFile(dir string, i int) string { return fmt.Sprintf("%s/%04d", dir, i) }

func (b *bench) generate() error {
	c, err := corpus.New(b.corpus)
	if err != nil {
		return err
	}
	f := &fleet{corpus: c, start: c.Config().Start.UnixNano()}
	b.fleet = f
	f.one = median(c)
	day := 24 * c.Ticks() // after all copies
	if f.hour, err = b.windows("hour", 0, c.Ticks(), false); err != nil {
		return err
	}
	if f.pprof, err = b.windows("pprof", day, b.pprofWindows, true); err != nil {
		return err
	}
	// The hour after that of pprof.
	f.beside, err = b.windows("beside", day+c.Ticks(), besideWindows, false)
	return err
}

// median returns the service with the median number of samples in the first window.
func median(c *corpus.Corpus) int {
	n := make([]int, c.Config().Services)
	g := c.NewGenerator()
	g.Observe(func(m *corpus.Made) {
		if m.Kind == corpus.KindCPU {
			n[m.Service] += m.Len()
		}
	})
	g.Batch(0, 1)
	order := make([]int, len(n))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return n[i] - n[j] })
	return order[len(order)/2]
}

// windows writes windows to files, as OTLP requests or as uploads.
func (b *bench) windows(name string, first, n int, pprof bool) (*facts, error) {
	dir := b.path(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	out := &facts{Sums: corpus.NewSums(), windows: n, cpu: make([]int64, n)}
	var mu sync.Mutex
	var next atomic.Int64
	var group errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			w := &windowMaker{c: b.fleet.corpus, one: b.fleet.one, pprof: pprof, cpu: out.cpu}
			w.g = w.c.NewGenerator()
			w.g.Observe(w.made)
			for {
				w.window = int(next.Add(1)) - 1
				if w.window >= n {
					break
				}
				data, err := w.make(first + w.window)
				if err != nil {
					return err
				}
				if err := os.WriteFile(windowFile(dir, w.window), data, 0o600); err != nil {
					return err
				}
				w.bytes += int64(len(data))
			}
			mu.Lock()
			defer mu.Unlock()
			out.Merge(w.g.Sums())
			out.bytes += w.bytes
			out.profiles, out.samples = append(out.profiles, w.profiles...), append(out.samples, w.samples...)
			return nil
		})
	}
	return out, group.Wait()
}

// windowMaker makes windows, one after the other.
type windowMaker struct {
	c     *corpus.Corpus
	g     *corpus.Generator
	one   int
	pprof bool

	window   int
	cpu      []int64 // shared, by window
	bytes    int64
	profiles []drawn
	samples  []sample
	uploads  []byte
	err      error
}

func (w *windowMaker) make(tick int) ([]byte, error) {
	pd := w.g.Batch(tick, 1)
	if w.err != nil {
		return nil, w.err
	}
	if !w.pprof {
		return pprofileotlp.NewExportRequestFromProfiles(pd).MarshalProto()
	}
	data := w.uploads
	w.uploads = nil
	return data, nil
}

func (w *windowMaker) made(m *corpus.Made) {
	p := drawn{service: int32(m.Service), pod: int32(m.Pod), kind: m.Kind, start: m.Start}
	for i := range m.Len() {
		v := m.Value(i, 0)
		p.value += v
		if m.Service == w.one && m.Kind == corpus.KindCPU {
			w.samples = append(w.samples, sample{p.pod, m.Start, m.Key(i), v})
		}
	}
	if m.Kind == corpus.KindCPU {
		w.cpu[w.window] += p.value
	}
	w.profiles = append(w.profiles, p)
	if w.pprof {
		var data bytes.Buffer
		if err := m.Pprof().Write(&data); err != nil {
			w.err = err
		}
		u := upload{Kind: m.Kind, Data: data.Bytes()}
		w.c.Labels(m.Service, m.Pod).Range(func(k string, v pcommon.Value) bool {
			u.Labels = append(u.Labels, [2]string{k, v.Str()})
			return true
		})
		w.uploads = u.append(w.uploads)
	}
}

// rate is the values that the fleet makes in a second.
func (f *fleet) rate() float64 { return float64(f.hour.Values) / time.Hour.Seconds() }

// label returns a label of a pod.
func (f *fleet) label(service, pod int, name string) string {
	v, _ := f.corpus.Labels(service, pod).Get(name)
	return v.Str()
}
