package ebpfprofilingreceiver

import (
	"runtime"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/syscallname"
	"github.com/aperture-collector/aperture-collector/internal/tracker"
)

// arch is the architecture whose numbers the kernel reports. Programs build for
// amd64 and arm64 only.
var arch, _ = syscallname.ParseArch(runtime.GOARCH)

// appendCalls appends the system calls that were counted without a stack, one
// sample for each latency bucket.
func appendCalls(samples []sample, calls []bpf.SyscallCount, t *tracker.Tracker) []sample {
	for i := range calls {
		c := &calls[i]
		samples = append(samples, sample{
			stack: &stack{
				proc: t.Process(c.PID, c.Image), cgroup: c.CgroupID, comm: clean(c.Comm),
				kind: bpf.KindSyscall, object: uint64(c.Number), bucket: c.Bucket, failed: c.Error,
			},
			count: c.Count, sum: c.Sum, min: c.Min, max: c.Max,
		})
	}
	return samples
}

// syscallAttributes returns what tells system calls apart. Threads are told
// apart only where there is a stack.
func (e *encoder) syscallAttributes(s *stack) []int32 {
	attrs := []int32{
		e.b.IntAttribute(profile.AttrSyscallNumber, int64(s.object)),
		e.b.StringAttribute(profile.AttrSyscallName, arch.Name(uint32(s.object))),
		e.b.IntAttribute(profile.AttrLatencyBucket, int64(s.bucket)),
	}
	if s.failed {
		attrs = append(attrs, e.b.BoolAttribute(profile.AttrError, true))
	}
	if len(s.user) > 0 && s.comm != "" {
		attrs = append(attrs, e.b.StringAttribute(profile.AttrThreadName, s.comm))
	}
	return attrs
}
