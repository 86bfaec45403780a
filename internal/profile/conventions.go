package profile

// Resource attributes of the product. The other resource attributes follow the
// OpenTelemetry semantic conventions (service.name, host.name, process.*,
// container.id, k8s.*).
const (
	// AttrTenant names the tenant that owns the data. It is set by the first of
	// our components that sees the data and is never a label of a series.
	AttrTenant = "aperture.tenant.id"
	// AttrAgentID names the agent that sent an ingest batch (string).
	AttrAgentID = "aperture.agent.id"
	// AttrBatchSequence is the sender's sequence number of the batch (int).
	AttrBatchSequence = "aperture.batch.sequence"
	// AttrBatchEventCount is the number of observations of the batch (int).
	AttrBatchEventCount = "aperture.batch.event_count"
	// AttrBatchReceivedAt is when the batch arrived, in Unix nanoseconds (int).
	AttrBatchReceivedAt = "aperture.batch.received_at"
	// AttrWindowID identifies one aggregated window (32 hexadecimal digits). It
	// travels with the window through the exporter's queue and makes the insert
	// deduplication token, so a window that is sent twice is stored once.
	AttrWindowID = "aperture.window.id"
)

// Profile attributes of the product.
const (
	// AttrKind says which kind of profile it is: one of the Kind constants or
	// any other name. Profiles without it get one from [KindOf].
	AttrKind = "aperture.profile.kind"
	// AttrComment has the comments of a profile of pprof: texts, in a list or as JSON.
	// It is of the OpenTelemetry semantic conventions, and a label of the series.
	AttrComment = "pprof.profile.comment"
	// AttrValues describes how the Values of aggregated samples are laid out;
	// the only defined layout is [ValuesMinRestMax].
	AttrValues = "aperture.values"
	// ValuesMinRestMax is the layout of an aggregated sample that keeps the
	// extremes of its observations and still sums to their total: [v] for one
	// observation, [min, max] for two, [min, sum-min-max, max] for more.
	ValuesMinRestMax = "min,rest,max"
)

// Sample attributes of the product.
const (
	// AttrThreadName is the name of the sampled thread (string).
	AttrThreadName = "thread.name"
	// AttrWaitState is what a thread that was off the processor waited as (string):
	// interruptible, uninterruptible, runnable and so on.
	AttrWaitState = "aperture.wait.state"
	// AttrLockAddress is the address of a contended lock (int, two's complement).
	AttrLockAddress = "aperture.lock.address"
	// AttrLockKind tells kinds of locks apart (string).
	AttrLockKind = "aperture.lock.kind"
	// AttrSyscallNumber is the number of a system call (int).
	AttrSyscallNumber = "aperture.syscall.number"
	// AttrSyscallName is the name of a system call (string).
	AttrSyscallName = "syscall.name"
	// AttrError is true for observations that ended in an error (bool).
	AttrError = "error"
	// AttrLatencyBucket is the log2 bucket of a latency in nanoseconds (int, 0
	// to 29), see [LatencyBucket].
	AttrLatencyBucket = "aperture.latency.bucket"
)

// Attributes of mappings and locations, from the OpenTelemetry semantic
// conventions for profiles.
const (
	AttrBuildIDGNU     = "process.executable.build_id.gnu"
	AttrBuildIDGo      = "process.executable.build_id.go"
	AttrBuildIDHTLHash = "process.executable.build_id.htlhash"
	AttrFrameType      = "profile.frame.type"
)

// Values of [AttrFrameType] that our own components write.
const (
	FrameKernel = "kernel"
	FrameNative = "native"
	FrameGo     = "go"
)

// KernelMapping is the mapping file name of kernel frames that name no module.
const KernelMapping = "[kernel]"

// Kinds of profiles that our own components write.
const (
	KindCPU    = "cpu"
	KindOffCPU = "off_cpu"
	KindLock   = "lock"
	// KindLockIdle is of threads that wait on a lock for work, not for the lock.
	KindLockIdle = "lock_idle"
	KindSyscall  = "syscall"
	KindGPU      = "gpu_kernel"
)

// DefaultTenant owns data that came without a tenant.
const DefaultTenant = "anonymous"

// ValueType is what a number of a profile means: its name and its unit, both as
// pprof and OTLP write them (`samples`/`count`, `delay`/`nanoseconds`).
type ValueType struct {
	Type, Unit string
}

// Types returns the sample types of one of our own kinds: the primary type
// first, then the number of observations where the kind has two types. It
// returns nil for every other kind.
func Types(kind string) []ValueType {
	return ownTypes[kind]
}

var ownTypes = map[string][]ValueType{
	KindCPU:      {{"samples", "count"}},
	KindOffCPU:   {{"off_cpu", "nanoseconds"}, {"events", "count"}},
	KindLock:     {{"delay", "nanoseconds"}, {"contentions", "count"}},
	KindLockIdle: {{"delay", "nanoseconds"}, {"waits", "count"}},
	KindSyscall:  {{"duration", "nanoseconds"}, {"calls", "count"}},
	KindGPU:      {{"duration", "nanoseconds"}, {"launches", "count"}},
}

// CPUTime is the type that profiles of the cpu kind may have beside their own, where
// the producer knows the time: it is then right to the nanosecond, and otherwise the
// number of samples times the period.
var CPUTime = ValueType{"cpu", "nanoseconds"}

// cpuWithTime are the types of such profiles.
var cpuWithTime = []ValueType{ownTypes[KindCPU][0], CPUTime}

// KindOf derives the kind of a profile that does not name one. CPU samples of
// any OpenTelemetry profiler (samples/count or cpu/nanoseconds over a period of
// CPU time) are our own cpu kind; everything else is named by its sample type,
// so that profiles of different types are never mixed.
func KindOf(sample, period ValueType) string {
	if sample == ownTypes[KindCPU][0] && period.Type == "cpu" {
		return KindCPU
	}
	if sample.Type == "" {
		return "unknown"
	}
	return sample.Type
}

// ObservationsType is the sample type of a sibling profile that says how many
// observations each aggregated sample of a kind that is not our own stands for.
// It follows the profiles it belongs to in the same scope, has their kind and
// time, and is left out where their values already tell.
var ObservationsType = ValueType{Type: "aperture.observations", Unit: "count"}

// LatencyBuckets is the number of log2 latency buckets.
const LatencyBuckets = 30

// LatencyBucket returns the bucket of a latency in nanoseconds: 0 for 0 and 1,
// otherwise floor(log2(ns)), and the last bucket for all that is larger.
func LatencyBucket(ns uint64) int {
	b := 0
	for ns > 1 && b < LatencyBuckets-1 {
		ns >>= 1
		b++
	}
	return b
}
