package pprofwire

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// file writes the fields of a profile.proto one by one.
type file struct{ b []byte }

func (f *file) number(field protowire.Number, v uint64) *file {
	f.b = protowire.AppendTag(f.b, field, protowire.VarintType)
	f.b = protowire.AppendVarint(f.b, v)
	return f
}

func (f *file) bytes(field protowire.Number, v []byte) *file {
	f.b = protowire.AppendTag(f.b, field, protowire.BytesType)
	f.b = protowire.AppendBytes(f.b, v)
	return f
}

// numbers is a message of numbers: field, value, field, value.
func numbers(pairs ...uint64) []byte {
	var m file
	for i := 0; i < len(pairs); i += 2 {
		m.number(protowire.Number(pairs[i]), pairs[i+1])
	}
	return m.b
}

func packed(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = protowire.AppendVarint(b, v)
	}
	return b
}

func (f *file) strings(all ...string) *file {
	for _, s := range all {
		f.bytes(fieldString, []byte(s))
	}
	return f
}

// small is a valid profile with a field of every kind, in the order in which Go
// writes them: what is referred to comes later.
func small() []byte {
	var s1, s2, l1, l2, l3 file
	s1.bytes(1, packed(1, 2)).bytes(2, packed(3, 30)).bytes(3, numbers(1, 6, 2, 7)).bytes(3, numbers(1, 8, 3, 64, 4, 9))
	minus := int64(-10)
	s2.number(1, 2).number(1, 3).number(2, 1).number(2, uint64(minus))
	l1.number(1, 1).number(2, 1).number(3, 0x1800).bytes(4, numbers(1, 1, 2, 3))
	l2.number(1, 2).number(2, 1).number(3, 0x1900).bytes(4, numbers(1, 2, 2, 7, 3, 5)).bytes(4, numbers(1, 1, 2, 9)).number(5, 1)
	l3.number(1, 3).number(3, 0xffff_ffff_8100_0000)
	f := new(file)
	f.bytes(fieldSampleType, numbers(1, 1, 2, 2)).bytes(fieldSampleType, numbers(1, 3, 2, 4))
	f.bytes(fieldSample, s1.b).bytes(fieldLocation, l1.b).bytes(fieldLocation, l2.b).bytes(fieldSample, s2.b).bytes(fieldLocation, l3.b)
	f.bytes(fieldMapping, numbers(1, 1, 2, 0x1000, 3, 0x2000, 4, 0x10, 5, 5, 6, 10, 7, 1))
	f.bytes(fieldFunction, numbers(1, 1, 2, 11, 3, 12, 4, 13, 5, 2)).bytes(fieldFunction, numbers(1, 2, 2, 14))
	f.strings("", "samples", "count", "cpu", "nanoseconds", "/bin/app", "region", "eu", "size", "bytes", "abc", "leaf", "leaf_", "leaf.go", "root")
	f.number(fieldTime, 1_700_000_000_000_000_000).number(fieldDuration, 10_000_000_000)
	f.bytes(fieldPeriodType, numbers(1, 3, 2, 4)).number(fieldPeriod, 10).number(fieldComment, 6).number(fieldDefault, 3)
	return f.b
}

func gzipped(data []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(data)
	z.Close()
	return out.Bytes()
}

func gunzipped(tb testing.TB, data []byte) []byte {
	tb.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	require.NoError(tb, err)
	out, err := io.ReadAll(z)
	require.NoError(tb, err)
	return out
}

// recorded is a file of the corpus: CPU or heap profiles of Go and Node.js programs.
func recorded(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("..", "corpus", "testdata", name))
	require.NoError(tb, err)
	return data
}

// program returns up to n samples of the corpus' largest program as Go profiles of one
// process have them: with these types, each value being of the first recorded type.
func program(tb testing.TB, name string, n int, types ...pprof.ValueType) []byte {
	tb.Helper()
	p, err := pprof.ParseData(recorded(tb, name))
	require.NoError(tb, err)
	of := func(s *pprof.Sample) string { return s.Label["program"][0] }
	count := make(map[string]int)
	largest := ""
	for _, s := range p.Sample {
		if count[of(s)]++; count[of(s)] > count[largest] {
			largest = of(s)
		}
	}
	var samples []*pprof.Sample
	for _, s := range p.Sample {
		if of(s) != largest || len(samples) == n {
			continue
		}
		s.Label = nil
		v := s.Value[0]
		s.Value = make([]int64, len(types))
		for i := range types {
			s.Value[i] = v * int64(1+i*1000)
		}
		samples = append(samples, s)
	}
	p.Sample, p.SampleType = samples, nil
	for _, t := range types {
		p.SampleType = append(p.SampleType, &t)
	}
	var out bytes.Buffer
	require.NoError(tb, p.Compact().WriteUncompressed(&out))
	return out.Bytes()
}

// goCPU and goHeap are profiles of one Go program, inflated.
func goCPU(tb testing.TB) []byte { return goCPUOf(tb, 1000) }

// goCPUOf has the samples of a short or idle time: most of it is symbols.
func goCPUOf(tb testing.TB, samples int) []byte {
	return program(tb, "cpu.pb.gz", samples, pprof.ValueType{Type: "samples", Unit: "count"}, pprof.ValueType{Type: "cpu", Unit: "nanoseconds"})
}

func goHeap(tb testing.TB) []byte {
	count, space := "count", "bytes"
	return program(tb, "memory.pb.gz", 1000, pprof.ValueType{Type: "alloc_objects", Unit: count}, pprof.ValueType{Type: "alloc_space", Unit: space},
		pprof.ValueType{Type: "inuse_objects", Unit: count}, pprof.ValueType{Type: "inuse_space", Unit: space})
}
