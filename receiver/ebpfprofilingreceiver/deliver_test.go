package ebpfprofilingreceiver

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver/internal/metadata"
)

// scriptedSink answers with errs in turn, then with nil, and spoils the data of
// every try, as a component that mutates data may.
type scriptedSink struct {
	mu      sync.Mutex
	errs    []error
	entered chan struct{}
	release chan struct{}
	got     []string
	tries   int
}

func (s *scriptedSink) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (s *scriptedSink) ConsumeProfiles(_ context.Context, pd pprofile.Profiles) error {
	if s.entered != nil {
		s.entered <- struct{}{}
		<-s.release
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	name, _ := pd.ResourceProfiles().At(0).Resource().Attributes().Get("name")
	text := name.Str()
	pd.ResourceProfiles().At(0).Resource().Attributes().Clear()
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		if err != nil {
			return err
		}
	}
	s.got = append(s.got, text)
	return nil
}

func namedBatch(name string) batch {
	pd := pprofile.NewProfiles()
	pd.ResourceProfiles().AppendEmpty().Resource().Attributes().PutStr("name", name)
	return batch{pd: pd, samples: 10, count: 1}
}

type losses struct {
	sync.Mutex
	by map[string]int64
}

func (l *losses) add(reason string, n int64) {
	l.Lock()
	defer l.Unlock()
	l.by[reason] += n
}

func startDeliverer(t *testing.T, sink *scriptedSink) (*deliverer, *losses) {
	set := receivertest.NewNopSettings(metadata.Type)
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{ReceiverID: set.ID, ReceiverCreateSettings: set})
	require.NoError(t, err)
	lost := &losses{by: map[string]int64{}}
	d := newDeliverer(sink, obs, zap.NewNop(), lost.add, func() {})
	go d.run(context.Background())
	return d, lost
}

func TestDelivererRetries(t *testing.T) {
	sink := &scriptedSink{errs: []error{errors.New("full"), nil, consumererror.NewPermanent(errors.New("bad"))}}
	d, lost := startDeliverer(t, sink)
	d.put(namedBatch("a"))
	d.put(namedBatch("b"))
	d.put(namedBatch("c"))
	require.Eventually(t, func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.got) == 2
	}, ebpftest.Patience, time.Millisecond)
	d.finish()
	<-d.done
	assert.Equal(t, []string{"a", "c"}, sink.got, "a was tried again with its data intact, b was refused for good")
	assert.Equal(t, map[string]int64{"rejected": 10}, lost.by)
}

func TestDelivererIsBounded(t *testing.T) {
	sink := &scriptedSink{entered: make(chan struct{}), release: make(chan struct{})}
	d, lost := startDeliverer(t, sink)
	d.put(namedBatch("0"))
	<-sink.entered
	for i := range maxBatches + 3 {
		d.put(namedBatch(string(rune('a' + i))))
	}
	lost.Lock()
	assert.Equal(t, map[string]int64{"queue_full": 30}, lost.by)
	lost.Unlock()
	d.finish()
	for i := range maxBatches + 1 {
		if i > 0 {
			<-sink.entered
		}
		sink.release <- struct{}{}
	}
	<-d.done
	assert.Equal(t, []string{"0", "d", "e", "f", "g", "h", "i", "j", "k"}, sink.got, "the oldest were dropped")
}

func TestDelivererShutdownTriesOnce(t *testing.T) {
	full := errors.New("full")
	sink := &scriptedSink{errs: []error{full, full, full, full, full, full}}
	d, lost := startDeliverer(t, sink)
	d.put(namedBatch("a"))
	d.put(namedBatch("b"))
	d.finish()
	<-d.done
	assert.Empty(t, sink.got)
	assert.Equal(t, map[string]int64{"shutdown": 20}, lost.by)
	assert.LessOrEqual(t, sink.tries, 3)
}
