package export

import (
	"strconv"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Profile is what is exported: rows of one kind of a merge.
type Profile struct {
	Merge *profilestore.Merge
	// Kind is one of the kinds of Merge, or a copy with fewer rows.
	Kind *profilestore.KindMerge
	// BySyscall says that row n is that of system call n of Kind.Syscalls.
	BySyscall bool
}

// Syscalls returns a profile of the system calls of k, whose producers record no
// stacks: one stack per system call, of one frame with its name.
func Syscalls(k *profilestore.KindMerge) *Profile {
	out := *k
	out.Rows = make([]profilestore.Row, len(k.Syscalls))
	out.TotalRows = len(out.Rows)
	m := &profilestore.Merge{Stacks: make([]profilestore.Stack, len(k.Syscalls))}
	for i := range k.Syscalls {
		s := &k.Syscalls[i]
		m.Stacks[i].Frames = []*profile.Frame{syscallFrame(s)}
		out.Rows[i] = profilestore.Row{
			Stack: int32(i), Count: s.Count, Min: s.Min, Max: s.Max,
			Syscall: s.Number, Values: [profile.MaxTypes]int64{s.Total, int64(s.Count)},
		}
	}
	m.Kinds = []profilestore.KindMerge{out}
	return &Profile{Merge: m, Kind: &m.Kinds[0], BySyscall: true}
}

func syscallFrame(s *profilestore.SyscallStats) *profile.Frame {
	return &profile.Frame{
		Type: profile.FrameKernel, Mapping: profile.KernelMapping,
		Function: profile.Function{Name: aperturejson.SyscallName(s)},
	}
}

// types are the sample types that rows have values of.
func (p *Profile) types() []profile.ValueType {
	return p.Kind.Types[:min(len(p.Kind.Types), profile.MaxTypes)]
}

// frames returns the stack of a row, leaf first.
func (p *Profile) frames(row *profilestore.Row) []*profile.Frame {
	return p.Merge.Stacks[row.Stack].Frames
}

// duration is the time between the first and the last observation in nanoseconds.
func (p *Profile) duration() int64 { return max(p.Kind.End-p.Kind.Start, 0) }

// cutLocation parts the frames at the leaf end of a stack that are one location,
// a frame after those that were inlined into it, from the rest.
func cutLocation(frames []*profile.Frame) (location, rest []*profile.Frame) {
	n := 1
	for n < len(frames) && frames[n-1].Inlined {
		n++
	}
	return frames[:n], frames[n:]
}

// locations numbers locations by the identity of their frames, from 1.
type locations struct {
	single map[*profile.Frame]int32
	// frames numbers the frames of locations with inlined functions, several
	// those locations by the numbers of their frames.
	frames  map[*profile.Frame]uint32
	several map[string]int32
	count   int32
	key     []byte
}

func newLocations() *locations {
	return &locations{single: make(map[*profile.Frame]int32), frames: make(map[*profile.Frame]uint32), several: make(map[string]int32)}
}

// number returns the number of a location and whether it is met the first time.
func (l *locations) number(frames []*profile.Frame) (number int32, isNew bool) {
	if len(frames) == 1 {
		n, ok := l.single[frames[0]]
		if !ok {
			l.count++
			n = l.count
			l.single[frames[0]] = n
		}
		return n, !ok
	}
	l.key = l.key[:0]
	for _, f := range frames {
		n, ok := l.frames[f]
		if !ok {
			n = uint32(len(l.frames))
			l.frames[f] = n
		}
		l.key = append(l.key, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	n, ok := l.several[string(l.key)]
	if !ok {
		l.count++
		n = l.count
		l.several[string(l.key)] = n
	}
	return n, !ok
}

// valid returns s with what is not UTF-8, which protobuf and JSON cannot have,
// replaced by U+FFFD.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func hexAddress(address uint64) string { return "0x" + strconv.FormatUint(address, 16) }
