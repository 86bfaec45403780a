package pprofwire

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// pushed is a gzipped file of a pod, as agents push it.
type pushed struct {
	kind string
	data []byte
	sum  int64
}

// ofFleet are the files of 15 seconds of a small fleet of package corpus: unlike one
// file again and again, they are not in the caches of the processor.
var ofFleet = sync.OnceValues(func() (files []pushed, err error) {
	c, err := corpus.New(corpus.Config{Services: 25, Pods: 6, Interval: 15 * time.Second})
	if err != nil {
		return nil, err
	}
	g := c.NewGenerator()
	g.Observe(func(m *corpus.Made) {
		var out bytes.Buffer
		if e := m.Pprof().Write(&out); e != nil {
			err = e
		}
		f := pushed{kind: m.Kind, data: out.Bytes()}
		for i := range m.Len() {
			for t := range m.Types {
				f.sum += m.Value(i, t)
			}
		}
		files = append(files, f)
	})
	g.Batch(0, 1)
	return files, err
})

// BenchmarkFleet is from gzipped files of a fleet to sums by stack, one file after
// the other, as a gateway does it.
func BenchmarkFleet(b *testing.B) {
	files, err := ofFleet()
	require.NoError(b, err)
	values, bytes, inflated := 0, 0, 0
	for _, f := range files {
		p, err := Parse(f.data, Limits{})
		require.NoError(b, err)
		bytes += len(f.data)
		inflated += len(p.data)
		columns, err := p.Columns(f.kind)
		require.NoError(b, err)
		for i := range columns {
			values += p.present(columns[i].Index, 0, p.NumSamples())
		}
	}
	step := func(name string, run func(f *pushed) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTimeUsed(b)
			for b.Loop() {
				for i := range files {
					if err := run(&files[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
			used := cpuTimeUsed(b) - before
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*values), "cpu-ns/value")
			b.ReportMetric(float64(bytes)/float64(values), "gzip-B/value")
			b.ReportMetric(float64(inflated)/float64(values), "B/value")
			b.ReportMetric(float64(values)/float64(len(files)), "values/file")
		})
	}
	var buf []byte
	step("inflate", func(f *pushed) (err error) {
		buf, err = inflate(buf[:0], f.data, defaultMaxBytes)
		return err
	})
	var p Profile
	step("parse", func(f *pushed) error { return p.Parse(f.data, Limits{}) })
	step("decode", func(f *pushed) error {
		_, err := Decode(f.data, Limits{}, Options{Kind: f.kind})
		return err
	})
	step("groups", func(f *pushed) error {
		pd, err := Decode(f.data, Limits{}, Options{Kind: f.kind})
		if err != nil {
			return err
		}
		groups, err := profile.Split(pd, time.Hour, profile.Limits{})
		if err != nil {
			return err
		}
		groups.Release()
		return nil
	})
}
