package aperturereceiver

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/confmap"

	"github.com/aperture-collector/aperture-collector/internal/syscallname"
)

const mib = 1 << 20

// maxFrameFactor is how much larger than `max_message_size` a frame may be to be
// refused by us, in words that make an agent split its batch. Still larger ones
// are cut off by gRPC in its own words, before they are read into memory.
const maxFrameFactor = 4

// maxSize bounds the configured sizes: frames of gRPC have 32-bit lengths.
const maxSize = 1 << 30

// Config is the configuration of the aperture receiver.
type Config struct {
	// GRPC is the server: `endpoint` (default 127.0.0.1:50051),
	// `tls`, `auth`, `keepalive` (for its defaults see the README),
	// `max_concurrent_streams` (default 256, per connection) and so on.
	// `include_metadata` is on by default because the tenant is in the metadata.
	// `max_recv_msg_size_mib` must not be set.
	GRPC configgrpc.ServerConfig `mapstructure:",squash"`

	// API is the extension that answers the read methods (Query, QueryStorage,
	// Aggregate, Diff) and knows whether agents should slow down. Without it, those
	// methods answer that storage is not configured. No default.
	API *component.ID `mapstructure:"api"`

	// MaxMessageSize is the most bytes of a push as it comes over the wire, which
	// is compressed. Default 33554432 (32 MiB).
	MaxMessageSize int64 `mapstructure:"max_message_size"`

	// MaxInflatedSize is the most bytes of a push after decompression. Default
	// 134217728 (128 MiB).
	MaxInflatedSize int64 `mapstructure:"max_inflated_size"`

	// MaxInflightSize is the most bytes, after decompression, of all pushes that
	// are worked on at one time; a push beyond it is refused and may be retried.
	// What is made of them takes memory too, in the worst case ten times as much.
	// Default 268435456 (256 MiB).
	MaxInflightSize int64 `mapstructure:"max_inflight_size"`

	// MaxConcurrentRequests is how many calls are in work at a time, over all
	// connections; further ones are refused before they are read and may be
	// retried. A push is in work until its window is taken by the pipeline. Health
	// checks do not count. 0 is unlimited. Default 16384.
	MaxConcurrentRequests int `mapstructure:"max_concurrent_requests"`

	// Reflection serves gRPC reflection (v1 and v1alpha), with which tools such as
	// grpcurl learn the methods. It asks for the same authentication as the
	// methods. Default false.
	Reflection bool `mapstructure:"reflection"`

	// MaxProcesses is the most different processes in one push. An agent splits a
	// push with more. Default 16384.
	MaxProcesses int `mapstructure:"max_processes"`

	// SyscallArchitecture is the architecture of the hosts that agents run on,
	// amd64 or arm64: pushes carry numbers of system calls but not what they
	// mean. Default amd64.
	SyscallArchitecture string `mapstructure:"syscall_architecture"`
}

var _ confmap.Validator = (*Config)(nil)

// Validate checks the keys of the receiver itself.
func (c *Config) Validate() error {
	var errs error
	fail := func(format string, args ...any) { errs = errors.Join(errs, fmt.Errorf(format, args...)) }
	if c.GRPC.NetAddr.Endpoint == "" {
		fail("`endpoint` must not be empty")
	}
	if c.GRPC.MaxRecvMsgSizeMiB != 0 {
		fail("`max_recv_msg_size_mib` must not be set, use `max_message_size`: agents understand only its way to refuse a push; found %d", c.GRPC.MaxRecvMsgSizeMiB)
	}
	if c.MaxMessageSize < 1 || c.MaxMessageSize > maxSize/maxFrameFactor {
		fail("`max_message_size` must be from 1 to %d bytes, found %d", maxSize/maxFrameFactor, c.MaxMessageSize)
	}
	if c.MaxInflatedSize < c.MaxMessageSize || c.MaxInflatedSize > maxSize {
		fail("`max_inflated_size` must be from `max_message_size` (%d) to %d bytes, found %d", c.MaxMessageSize, maxSize, c.MaxInflatedSize)
	}
	if c.MaxInflightSize < c.MaxInflatedSize {
		fail("`max_inflight_size` must be at least `max_inflated_size` (%d) bytes, found %d", c.MaxInflatedSize, c.MaxInflightSize)
	}
	if c.MaxConcurrentRequests < 0 {
		fail("`max_concurrent_requests` must be at least 0, found %d", c.MaxConcurrentRequests)
	}
	if c.MaxProcesses < 1 {
		fail("`max_processes` must be at least 1, found %d", c.MaxProcesses)
	}
	if _, err := syscallname.ParseArch(c.SyscallArchitecture); err != nil {
		fail("`syscall_architecture` must be amd64 or arm64, found %q", c.SyscallArchitecture)
	}
	return errs
}
