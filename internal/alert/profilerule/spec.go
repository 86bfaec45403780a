package profilerule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The metrics.
const (
	// FunctionShare is the part, 0 to 1, of the first value of a kind that is in
	// stacks with a function.
	FunctionShare = "function_share"
	// StackShare is the part that is in stacks with a call path.
	StackShare = "stack_share"
	// LockWait is the time in seconds that all threads together waited for locks.
	LockWait = "lock_wait_seconds"
	// SyscallP99 is the 99th percentile of the duration of system calls in seconds.
	SyscallP99 = "syscall_p99_seconds"
	// SyscallErrorRate is the part, 0 to 1, of system calls that failed.
	SyscallErrorRate = "syscall_error_rate"
	// ChangeVsBaseline is the share of a function less its share in an earlier
	// window of the same length, -1 to 1.
	ChangeVsBaseline = "change_vs_baseline"
)

// Bounds and defaults of a [Spec].
const (
	MinWindow, DefaultWindow, MaxWindow = 30 * time.Second, 5 * time.Minute, 24 * time.Hour
	// MaxBaselineOffset is how far back a baseline can be.
	MaxBaselineOffset = 31 * 24 * time.Hour

	DefaultMaxPValue  = 0.01
	DefaultMinSamples = 100

	maxText   = 1024 // bytes
	maxStack  = 8192 // bytes
	maxLabels = 64
	maxKind   = 128 // bytes
)

// Spec says what value a rule is about. [Spec.Check] fills in the defaults.
type Spec struct {
	Metric string `json:"metric"`

	// Function is the name of a function, or the address of one without a name
	// (0x and hexadecimal digits), as stacks have it.
	Function string `json:"function,omitempty"`
	// Self counts only what was observed in the function itself and not what it
	// called.
	Self bool `json:"self,omitempty"`

	// Stack is a call path as folded stacks have it: names from the root on,
	// parted by semicolons. Stacks must start with it or, if Anywhere, have it.
	Stack    string `json:"stack,omitempty"`
	Anywhere bool   `json:"anywhere,omitempty"`

	// Syscall is the name of a system call; empty is all of them.
	Syscall string `json:"syscall,omitempty"`

	// BaselineOffset is how long before the window the baseline is; by default it
	// ends where the window starts.
	BaselineOffset Duration `json:"baseline_offset,omitempty"`
	// MaxPValue is the largest significance (diff.PValue) that a change can have.
	MaxPValue float64 `json:"max_p_value,omitempty"`
	// MinSamples is the least number of observations that both windows must have.
	MinSamples uint64 `json:"min_samples,omitempty"`

	// Service, Labels and AgentID select profiles, EventType their kind.
	Service   string            `json:"service,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	AgentID   *string           `json:"agent_id,omitempty"`
	EventType string            `json:"event_type,omitempty"`
	// Window is how far back the rule looks. [Spec.Check] rounds it and
	// BaselineOffset up to one of a few lengths.
	Window Duration `json:"window,omitempty"`
}

// IsMetric reports whether there is such a metric.
func IsMetric(name string) bool {
	_, ok := metrics[name]
	return ok
}

// Metrics returns the names of the metrics.
func Metrics() []string {
	return []string{FunctionShare, StackShare, LockWait, SyscallP99, SyscallErrorRate, ChangeVsBaseline}
}

// Label returns the name of a metric for people.
func Label(metric string) string { return metrics[metric].label }

// Duration is written as text (`90s`, `1h30m`) and read as that or as a number of
// seconds.
type Duration time.Duration

// MarshalJSON implements [json.Marshaler].
func (d Duration) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, d.String()), nil
}

// String returns d without the zeros at the end that [time.Duration] has.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Duration) UnmarshalJSON(text []byte) error {
	v, err := ParseDuration(text)
	if err == nil {
		*d = Duration(v)
	}
	return err
}

// ParseDuration returns the duration that a JSON value says: text such as "1m",
// or a number of seconds.
func ParseDuration(value json.RawMessage) (time.Duration, error) {
	value = bytes.TrimSpace(value)
	if len(value) > 64 {
		return 0, fmt.Errorf("it is %d bytes long; it must be a duration such as \"1m\" or a number of seconds", len(value))
	}
	var s string
	if json.Unmarshal(value, &s) == nil && value[0] == '"' {
		if d, err := time.ParseDuration(s); err == nil {
			return d, nil
		}
		// A number of seconds may be text, too.
		value = []byte(s)
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	const most = float64(math.MaxInt64 / int64(time.Second))
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) >= most {
		return 0, fmt.Errorf("it is %s; it must be a duration such as \"1m\" or a number of seconds", strconv.Quote(string(value)))
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
