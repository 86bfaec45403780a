package export

import (
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// bySyscall reports whether every observation of k is of a numbered system call.
func bySyscall(k *profilestore.KindMerge) bool {
	var count uint64
	for i := range k.Syscalls {
		count += k.Syscalls[i].Count
	}
	return k.Kind == profile.KindSyscall && count > 0 && count == k.Events
}

// syscalls returns a sample for every bucket of latency of every system call, two
// where some of its calls failed. A merge does not say in which buckets the failed
// calls were, nor the sum of each: the shortest are taken for failed, each sum for
// as little as its bucket allows, and the last one for the rest. Nothing that is
// asked by system call shows either.
func (e *otlpEncoder) syscalls(k *profilestore.KindMerge) []otlpSample {
	var samples []otlpSample
	for i := range k.Syscalls {
		samples = append(samples, e.syscall(&k.Syscalls[i])...)
	}
	return samples
}

func (e *otlpEncoder) syscall(s *profilestore.SyscallStats) []otlpSample {
	attributes := []int32{e.b.IntAttribute(profile.AttrSyscallNumber, s.Number)}
	if s.Name != "" {
		attributes = append(attributes, e.b.StringAttribute(profile.AttrSyscallName, valid(s.Name)))
	}
	var samples []otlpSample
	rest, failed := s.Total, s.Errors
	add := func(bucket int, count uint64, isError bool) {
		if count == 0 {
			return
		}
		all := append([]int32{}, attributes...)
		if bucket > 0 {
			all = append(all, e.b.IntAttribute(profile.AttrLatencyBucket, int64(bucket)))
		}
		if isError {
			all = append(all, e.b.BoolAttribute(profile.AttrError, true))
		}
		least := min(max(int64(1)<<bucket, s.Min), s.Max)
		if bucket == 0 {
			least = s.Min
		}
		sum := int64(0)
		if least > 0 && count <= uint64(rest/least) {
			sum = least * int64(count)
		}
		rest -= sum
		samples = append(samples, otlpSample{
			attributes: all, count: count, values: [profile.MaxTypes]int64{sum, int64(count)},
			min: least, max: least, bounded: true,
		})
	}
	for bucket, count := range s.Histogram {
		n := min(count, failed)
		failed -= n
		add(bucket, n, true)
		add(bucket, count-n, false)
	}
	if len(samples) > 0 {
		samples[0].min = s.Min
		last := &samples[len(samples)-1]
		last.values[0] += rest
		last.max = s.Max
	}
	return samples
}
