package jfr

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/jfr/jfrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen notes what is in a recording.
type seen struct {
	events []string
	fail   error
}

func (s *seen) Wants(class string) bool {
	return strings.HasPrefix(class, "jdk.") && class != "jdk.JavaMonitorEnter"
}
func (s *seen) Chunk(*Chunk) {}

func (s *seen) Event(c *Chunk, e *Event) error {
	text := e.Class + " " + c.State(e.Number("state")) + e.Text("name") + e.Text("value")
	frames, _ := c.Stack(e.Number("stackTrace"))
	for _, f := range frames {
		class, name := c.Method(f.Method)
		text += " " + class + "." + name
	}
	s.events = append(s.events, text)
	return s.fail
}

func TestRead(t *testing.T) {
	data := jfrtest.Of(
		jfrtest.Event{jfrtest.MonitorEnter, 5, 1},
		jfrtest.Event{jfrtest.Sample, jfrtest.Sleeping, 2, 0, 0, 0, 0, 0},
		jfrtest.Event{jfrtest.ActiveSetting, jfrtest.ExecutionSample, "period", "10 ms"},
		jfrtest.Event{jfrtest.Allocation, 7, 99},
	)
	var s seen
	require.NoError(t, Read(slices.Concat(data, data), &s))
	one := []string{"jdk.ExecutionSample STATE_SLEEPING a/B.d a/B.c", "jdk.ActiveSetting period10 ms", "jdk.ObjectAllocationSample "}
	assert.Equal(t, slices.Concat(one, one), s.events)

	s.fail = errors.New("enough")
	require.ErrorIs(t, Read(data, &s), s.fail)
}

// Every recording that ends early is an error, also if it says that it is as long as it
// is; whatever one byte is, the end is soon and no panic.
func TestHostile(t *testing.T) {
	data := jfrtest.Small()
	for n := 1; n < len(data); n++ {
		require.Error(t, Read(data[:n], new(seen)), "%d of %d bytes", n, len(data))
		if n >= headerSize {
			cut := slices.Clone(data[:n])
			binary.BigEndian.PutUint64(cut[8:], uint64(n))
			require.Error(t, Read(cut, new(seen)), "%d of %d bytes", n, len(data))
		}
	}
	for at := range data {
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff, byte(rand.Uint32())} {
			b := slices.Clone(data)
			b[at] = v
			_ = Read(b, new(seen))
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(jfrtest.Small())
	f.Fuzz(func(_ *testing.T, data []byte) { _ = Read(data, new(seen)) })
}
