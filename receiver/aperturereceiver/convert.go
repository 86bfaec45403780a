package aperturereceiver

import (
	"fmt"
	"math"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/syscallname"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadata"
)

// batch describes the push that is converted.
type batch struct {
	tenant     string // empty if the client named none
	agentID    string
	sequence   uint64
	receivedAt int64 // Unix nanoseconds
}

// processesError says that a push names too many processes.
type processesError struct {
	limit int
}

func (e *processesError) Error() string {
	return fmt.Sprintf("convert payload: found more than %d processes, the limit is %d (max_processes)", e.limit, e.limit)
}

// converter turns the events of one push into profiles: a resource per process, a
// profile per kind in it, and in that one sample for all events with equal
// thread name, stack and attributes, with one timestamp and value each.
//
// Converters are reused. Between pushes they hold nothing of a payload.
type converter struct {
	arch         syscallname.Arch
	maxProcesses int

	batch     batch
	corrected corrections
	events    int
	processes map[int32]*process
	// encoded finds the sample of an event by its encoded form, which spares the
	// look at the stack of most events; samples finds it by its content.
	encoded map[encodedKey]*sample
	samples map[sampleKey]*sample
	slab    []sample // where new samples are put
	// observations are those of all events, to be added to their samples when it
	// is known how many each gets.
	observations []observation
	// threads and calls are the attributes of thread names and system calls.
	threads map[string]int32 // aliases the payload
	calls   map[uint64][4]int32
	symbolizer
}

// process is what is known of one process in the push.
type process struct {
	scope pprofile.ScopeProfiles
	kinds [aperturewire.KindGPU + 1]*kindProfile
}

// kindProfile is the profile of one kind of one process.
type kindProfile struct {
	profile     pprofile.Profile
	first, last uint64
}

// sample is one sample and the profile that it belongs to.
type sample struct {
	kind       *kindProfile
	timestamps pcommon.UInt64Slice
	values     pcommon.Int64Slice
	count      int  // of its observations
	valued     bool // observations have a value; without one they count as one each
}

// observation is an event of a sample.
type observation struct {
	sample *sample
	time   uint64
	value  int64
}

// encodedKey identifies a sample by what is encoded. It aliases the payload.
type encodedKey struct {
	pid   int32
	kind  aperturewire.Kind
	extra uint64 // of attrs
	more  uint32
	tail  string
}

// sampleKey identifies a sample by what it says.
type sampleKey struct {
	kind   *kindProfile
	stack  int32
	thread int32
	extra  uint64
	more   uint32
}

var converters = sync.Pool{New: func() any {
	return &converter{
		processes:  make(map[int32]*process),
		encoded:    make(map[encodedKey]*sample),
		samples:    make(map[sampleKey]*sample),
		threads:    make(map[string]int32),
		calls:      make(map[uint64][4]int32),
		symbolizer: newSymbolizer(),
	}
}}

// maxKept is the largest map that is kept for the next push. Clearing a map costs
// what it once held.
const maxKept = 1 << 16

// release forgets the push and makes the converter available to others.
func (c *converter) release() {
	if len(c.encoded) > maxKept || len(c.frames) > maxKept {
		return
	}
	c.batch, c.corrected = batch{}, corrections{}
	clear(c.processes)
	clear(c.encoded)
	clear(c.samples)
	clear(c.slab)
	c.slab = c.slab[:0]
	clear(c.observations)
	c.observations = c.observations[:0]
	if cap(c.observations) > maxKept {
		c.observations = nil
	}
	clear(c.threads)
	clear(c.calls)
	c.symbolizer.reset()
	converters.Put(c)
}

// convert returns the profiles of a message, the number of samples in them, and how
// many events were not believed.
func convert(m *aperturewire.Message, b batch, arch syscallname.Arch, maxProcesses int) (pprofile.Profiles, int, corrections, error) {
	c := converters.Get().(*converter)
	defer c.release()
	c.batch, c.events, c.arch, c.maxProcesses = b, m.Len(), arch, maxProcesses
	c.begin(profile.NewBuilder(), m.Len())

	if m.Len() == 0 {
		// The batch is listed all the same.
		c.addResource()
		return c.b.Profiles(), 0, corrections{}, nil
	}
	it := m.Events()
	for ev := (aperturewire.Event{}); it.Next(&ev); {
		if err := c.add(&ev); err != nil {
			return pprofile.Profiles{}, 0, corrections{}, err
		}
	}
	c.observe()
	for _, p := range c.processes {
		for _, k := range p.kinds {
			if k != nil {
				k.profile.SetTime(pcommon.Timestamp(k.first))
				k.profile.SetDurationNano(k.last - k.first)
			}
		}
	}
	c.end()
	return c.b.Profiles(), len(c.samples), c.corrected, nil
}

// add adds one observation.
func (c *converter) add(ev *aperturewire.Event) error {
	c.corrected.event(ev, c.batch.receivedAt)
	extra, more := discriminate(ev)
	key := encodedKey{pid: ev.PID, kind: ev.Kind, extra: extra, more: more, tail: ev.Tail}
	s := c.encoded[key]
	if s == nil {
		k, err := c.kind(ev)
		if err != nil {
			return err
		}
		s = c.sample(k, ev, extra, more)
		c.encoded[key] = s
	}
	s.kind.first = min(s.kind.first, ev.Timestamp)
	s.kind.last = max(s.kind.last, ev.Timestamp)
	s.count++
	o := observation{sample: s, time: ev.Timestamp}
	switch ev.Kind {
	case aperturewire.KindCPU:
		// Every timestamp counts as one.
	case aperturewire.KindLock:
		o.value = int64(ev.WaitTime)
	default:
		o.value = int64(ev.Duration)
	}
	c.observations = append(c.observations, o)
	return nil
}

// observe adds the observations to their samples.
func (c *converter) observe() {
	for i := range c.observations {
		o := &c.observations[i]
		s := o.sample
		if s.count > 0 { // the first one
			s.timestamps.EnsureCapacity(s.count)
			if s.valued {
				s.values.EnsureCapacity(s.count)
			}
			s.count = 0
		}
		s.timestamps.Append(o.time)
		if s.valued {
			s.values.Append(o.value)
		}
	}
}

// discriminate returns what of an event becomes attributes of its sample, besides
// the thread name.
func discriminate(ev *aperturewire.Event) (extra uint64, more uint32) {
	switch ev.Kind {
	case aperturewire.KindLock:
		return ev.LockAddress, 0
	case aperturewire.KindSyscall:
		more = uint32(profile.LatencyBucket(ev.Duration)) << 1
		if ev.ReturnValue < 0 {
			more |= 1
		}
		return uint64(ev.SyscallNumber), more
	}
	return 0, 0
}

// kind returns the profile that an event belongs to.
func (c *converter) kind(ev *aperturewire.Event) (*kindProfile, error) {
	p := c.processes[ev.PID]
	if p == nil {
		if len(c.processes) == c.maxProcesses {
			return nil, &processesError{limit: c.maxProcesses}
		}
		rp := c.addResource()
		rp.Resource().Attributes().PutInt("process.pid", int64(ev.PID))
		p = &process{scope: rp.ScopeProfiles().AppendEmpty()}
		p.scope.Scope().SetName(metadata.ScopeName)
		c.processes[ev.PID] = p
	}
	if p.kinds[ev.Kind] == nil {
		name, period := profile.KindCPU, profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
		switch ev.Kind {
		case aperturewire.KindLock:
			name, period = profile.KindLock, profile.ValueType{}
		case aperturewire.KindSyscall:
			name, period = profile.KindSyscall, profile.ValueType{}
		case aperturewire.KindGPU:
			name, period = profile.KindGPU, profile.ValueType{}
		}
		// The period of CPU samples is not in the payload.
		p.kinds[ev.Kind] = &kindProfile{
			profile: c.b.AddProfile(p.scope, name, profile.Types(name)[0], period, 0),
			first:   math.MaxUint64,
		}
	}
	return p.kinds[ev.Kind], nil
}

// addResource appends a resource that carries the metadata of the batch.
func (c *converter) addResource() pprofile.ResourceProfiles {
	rp := c.b.Profiles().ResourceProfiles().AppendEmpty()
	attrs := rp.Resource().Attributes()
	attrs.EnsureCapacity(8)
	attrs.PutStr("service.name", c.batch.agentID)
	attrs.PutStr("host.name", c.batch.agentID)
	attrs.PutStr(profile.AttrAgentID, c.batch.agentID)
	attrs.PutInt(profile.AttrBatchSequence, int64(c.batch.sequence))
	attrs.PutInt(profile.AttrBatchEventCount, int64(c.events))
	attrs.PutInt(profile.AttrBatchReceivedAt, c.batch.receivedAt)
	if c.batch.tenant != "" {
		attrs.PutStr(profile.AttrTenant, c.batch.tenant)
	}
	return rp
}

// sample returns the sample of an event that was not met in the same encoding.
func (c *converter) sample(k *kindProfile, ev *aperturewire.Event, extra uint64, more uint32) *sample {
	key := sampleKey{kind: k, stack: c.stack(ev), thread: -1, extra: extra, more: more}
	if ev.Kind != aperturewire.KindGPU {
		key.thread = c.thread(ev.Comm)
	}
	if s := c.samples[key]; s != nil {
		return s
	}
	var room [5]int32
	attrs := room[:0]
	if key.thread >= 0 {
		attrs = append(attrs, key.thread)
	}
	switch ev.Kind {
	case aperturewire.KindLock:
		attrs = append(attrs, c.b.IntAttribute(profile.AttrLockAddress, int64(ev.LockAddress)))
	case aperturewire.KindSyscall:
		call := c.call(ev, more)
		attrs = append(attrs, call[:]...)
	}
	ps := c.b.AddSample(k.profile.Samples(), key.stack, attrs)
	if len(c.slab) == cap(c.slab) {
		// Full: the samples in it stay where they are, for there are pointers to them.
		c.slab = make([]sample, 0, 128)
	}
	c.slab = append(c.slab, sample{
		kind: k, timestamps: ps.TimestampsUnixNano(), values: ps.Values(), valued: ev.Kind != aperturewire.KindCPU,
	})
	s := &c.slab[len(c.slab)-1]
	c.samples[key] = s
	return s
}

// thread returns the attribute of a thread name.
func (c *converter) thread(name string) int32 {
	attr, ok := c.threads[name]
	if !ok {
		attr = c.b.StringAttribute(profile.AttrThreadName, c.intern(name))
		c.threads[name] = attr
	}
	return attr
}

// call returns the attributes of a system call; more is that of discriminate.
func (c *converter) call(ev *aperturewire.Event, more uint32) [4]int32 {
	key := uint64(ev.SyscallNumber)<<32 | uint64(more)
	attrs, ok := c.calls[key]
	if !ok {
		attrs = [4]int32{
			c.b.IntAttribute(profile.AttrSyscallNumber, int64(ev.SyscallNumber)),
			c.b.StringAttribute(profile.AttrSyscallName, c.arch.Name(ev.SyscallNumber)),
			c.b.BoolAttribute(profile.AttrError, ev.ReturnValue < 0),
			c.b.IntAttribute(profile.AttrLatencyBucket, int64(profile.LatencyBucket(ev.Duration))),
		}
		c.calls[key] = attrs
	}
	return attrs
}
