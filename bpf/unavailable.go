package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// Reasons why a program cannot run; they are values of a metric attribute.
const (
	ReasonKernelTooOld      = "kernel_too_old"
	ReasonMissingCapability = "missing_capability"
	ReasonNoBTF             = "no_btf"
	ReasonRefused           = "refused"
)

// UnavailableError says why a program cannot run on this machine.
type UnavailableError struct {
	// Reason is one of the Reason constants.
	Reason string
	// Detail is for people: what is missing and how to get it.
	Detail string
	// Err is what the kernel said, if it was asked.
	Err error
}

func (e *UnavailableError) Error() string {
	if e.Err == nil {
		return e.Detail
	}
	return e.Detail + ": " + e.Err.Error()
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// minKernel is the first kernel that charges BPF memory to the memory cgroup
// and not to RLIMIT_MEMLOCK (5.11). Ring buffers and CAP_BPF came with 5.8.
const minKernel = 5<<16 | 11<<8

// checkKernel refuses kernels the CPU program is known not to run on.
func checkKernel() error {
	v, err := features.LinuxVersionCode()
	if err != nil {
		return fmt.Errorf("read kernel version: %w", err)
	}
	if v < minKernel {
		return &UnavailableError{
			Reason: ReasonKernelTooOld,
			Detail: fmt.Sprintf("kernel %d.%d is too old, 5.11 or later is needed", v>>16, v>>8&0xff),
		}
	}
	return nil
}

// explain turns a refusal of the kernel into an UnavailableError.
func explain(doing string, err error) error {
	missing := MissingCapabilities(CapBPF, CapPerfmon)
	if errors.Is(err, os.ErrPermission) {
		// The loader's own text for EPERM talks of RLIMIT_MEMLOCK, which has not
		// mattered since 5.11: keep only the errno.
		cause := error(unix.EPERM)
		if errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
			cause = unix.EACCES
		}
		if len(missing) > 0 {
			return &UnavailableError{
				Reason: ReasonMissingCapability,
				Detail: fmt.Sprintf("%s needs root or %s, missing: %s", doing,
					strings.Join([]string{CapBPF.String(), CapPerfmon.String()}, " and "), joinCaps(missing)),
				Err: cause,
			}
		}
		return &UnavailableError{
			Reason: ReasonRefused,
			Detail: doing + " is not permitted here although the capabilities are there (container, seccomp or kernel lockdown)",
			Err:    cause,
		}
	}
	var verifier *ebpf.VerifierError
	if errors.As(err, &verifier) {
		return &UnavailableError{Reason: ReasonRefused, Detail: doing + ": the kernel's verifier refused the program", Err: err}
	}
	if _, statErr := os.Stat("/sys/kernel/btf/vmlinux"); statErr != nil {
		return &UnavailableError{
			Reason: ReasonNoBTF,
			Detail: doing + ": this kernel has no type information (CONFIG_DEBUG_INFO_BTF)", Err: err,
		}
	}
	return &UnavailableError{Reason: ReasonRefused, Detail: doing, Err: err}
}

// Capability is a Linux capability by its number.
type Capability int

// Capabilities that matter to profiling.
const (
	CapDACReadSearch Capability = 2
	CapSysPtrace     Capability = 19
	CapSysAdmin      Capability = 21
	CapSyslog        Capability = 34
	CapPerfmon       Capability = 38
	CapBPF           Capability = 39
)

// String returns the name of c as capabilities(7) writes it.
func (c Capability) String() string {
	switch c {
	case CapDACReadSearch:
		return "CAP_DAC_READ_SEARCH"
	case CapSysPtrace:
		return "CAP_SYS_PTRACE"
	case CapSysAdmin:
		return "CAP_SYS_ADMIN"
	case CapSyslog:
		return "CAP_SYSLOG"
	case CapPerfmon:
		return "CAP_PERFMON"
	case CapBPF:
		return "CAP_BPF"
	}
	return "capability " + strconv.Itoa(int(c))
}

// MissingCapabilities returns which of want this process does not have.
// CAP_SYS_ADMIN stands in for those that were split from it.
func MissingCapabilities(want ...Capability) []Capability {
	have, err := effectiveCapabilities()
	if err != nil {
		return want
	}
	var missing []Capability
	for _, c := range want {
		ok := have>>c&1 == 1
		if c == CapBPF || c == CapPerfmon || c == CapSyslog {
			ok = ok || have>>CapSysAdmin&1 == 1
		}
		if !ok {
			missing = append(missing, c)
		}
	}
	return missing
}

func effectiveCapabilities() (uint64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read capabilities: %w", err)
	}
	_, rest, _ := bytes.Cut(b, []byte("CapEff:"))
	field, _, _ := bytes.Cut(rest, []byte("\n"))
	have, err := strconv.ParseUint(string(bytes.TrimSpace(field)), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("parse capabilities %q: %w", field, err)
	}
	return have, nil
}

func joinCaps(caps []Capability) string {
	names := make([]string, len(caps))
	for i, c := range caps {
		names[i] = c.String()
	}
	return strings.Join(names, ", ")
}
