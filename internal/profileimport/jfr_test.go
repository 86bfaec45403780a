package profileimport

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/jfr/jfrtest"
	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
)

func TestJFR(t *testing.T) {
	profiles, err := JFR(recording(t))
	require.NoError(t, err)
	require.Len(t, profiles, 4)
	got := sums(split(t, Options{}, profiles...))
	assert.Equal(t, map[string]map[string]int64{
		"cpu":         {"observations": 99, "samples": 99},
		"lock":        {"observations": 1, "delay": 40_216_389, "contentions": 1},
		"off_cpu":     {"observations": 2, "off_cpu": 80_238_038, "events": 2},
		"alloc_space": {"observations": 3, "alloc_space": 142_997_472},
	}, got)

	cpu := profiles[0]
	assert.EqualValues(t, 10_000_000, cpu.Period)
	assert.EqualValues(t, 1395595130, cpu.DurationNanos)
	most, some := samplesOf(cpu, "Work.most"), samplesOf(cpu, "Work.some")
	assert.EqualValues(t, 74, most)
	assert.EqualValues(t, 25, some)
	assert.Equal(t, []string{"Work.spin:11", "Work.most:14", "Work.main:27"}, text(cpu, cpu.Sample(0)))
	assert.Equal(t, []string{"java.lang.Thread.sleep:0", "Work.main:22"}, text(profiles[2], profiles[2].Sample(0)))
}

func samplesOf(p *pprofwire.Profile, function string) (n int64) {
	for i := range p.NumSamples() {
		s := p.Sample(i)
		if slices.ContainsFunc(text(p, s), func(frame string) bool { return strings.HasPrefix(frame, function+":") }) {
			n += s.Values[0]
		}
	}
	return n
}

// A file of several chunks has the sum of all, each by its own constants.
func TestJFRChunks(t *testing.T) {
	data := recording(t)
	one, err := JFR(data)
	require.NoError(t, err)
	two, err := JFR(slices.Concat(data, data))
	require.NoError(t, err)
	require.Len(t, two, len(one))
	for i := range one {
		require.Equal(t, one[i].NumSamples(), two[i].NumSamples())
		for j := range one[i].NumSamples() {
			assert.Equal(t, 2*one[i].Sample(j).Values[0], two[i].Sample(j).Values[0])
		}
	}
}

// A chunk that says it ends earlier is cut within its events, types or constants.
func TestJFRTruncated(t *testing.T) {
	data := recording(t)
	for n := 0; n < len(data); n += 1 + n/200 {
		_, err := JFR(data[:n])
		require.Error(t, err, "%d of %d bytes", n, len(data))
		if n >= jfrtest.HeaderSize {
			cut := slices.Clone(data[:n])
			binary.BigEndian.PutUint64(cut[8:], uint64(n))
			_, _ = JFR(cut) // what is there may be complete
		}
	}
}

func TestJFRErrors(t *testing.T) {
	data := recording(t)
	change := func(at int, with ...byte) []byte {
		b := slices.Clone(data)
		copy(b[at:], with)
		return b
	}
	meta := int(binary.BigEndian.Uint64(data[24:]))
	constants := int(binary.BigEndian.Uint64(data[16:]))
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":        {nil, "decode JFR: the recording has no samples of CPU, locks, waits or allocations"},
		"no header":    {data[:67], "decode JFR: chunk 0: the header has 67 bytes; it must have 68"},
		"second chunk": {slices.Concat(data, data[:10]), "decode JFR: chunk 1: the header has 10 bytes; it must have 68"},
		"magic":        {change(0, 'X'), `decode JFR: chunk 0: the header begins with "XLR\x00"; it must be "FLR\x00"`},
		"version":      {change(4, 0, 1), "decode JFR: chunk 0: the version is 1; only version 2 is known"},
		"features":     {change(64, 0, 0, 0, 0), "decode JFR: chunk 0: the features are 0x0; integers of fixed length are not known"},
		"size":         {change(8, 0xff), "decode JFR: chunk 0: the chunk says that it has 18374686479671749490 bytes; there are 125810"},
		"not finished": {change(16, 0, 0, 0, 0, 0, 0, 0, 0), "decode JFR: chunk 0: metadata and constants are at 0 and 28661 of 125810 bytes: the recording was not finished"},
	} {
		_, err := JFR(tt.data)
		require.Error(t, err, name)
		if name == "not finished" {
			require.ErrorContains(t, err, "the recording was not finished", name)
			continue
		}
		require.EqualError(t, err, tt.want, name)
	}
	// A number of strings that the file cannot have.
	_, err := JFR(change(meta+18, 0xff, 0xff, 0xff, 0xff, 0x0f))
	require.Error(t, err)
	// Constants that follow themselves.
	_, err = JFR(change(constants, 0xff, 0xff, 0xff, 0xff))
	require.Error(t, err)
}

func FuzzJFR(f *testing.F) {
	f.Add(jfrtest.Small())
	f.Fuzz(func(t *testing.T, data []byte) {
		profiles, err := JFR(data)
		if err != nil {
			return
		}
		for _, p := range profiles {
			convertAnything(t, p)
		}
	})
}
