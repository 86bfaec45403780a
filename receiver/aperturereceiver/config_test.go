package aperturereceiver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadata"
)

func TestLoadConfig(t *testing.T) {
	everything := createDefaultConfig().(*Config)
	api := component.MustNewIDWithName("aperture_api", "main")
	everything.GRPC.NetAddr.Endpoint = "0.0.0.0:4711"
	everything.GRPC.IncludeMetadata = false
	everything.GRPC.MaxConcurrentStreams = 16
	everything.API = &api
	everything.MaxMessageSize = 1 << 20
	everything.MaxInflatedSize = 8 << 20
	everything.MaxInflightSize = 16 << 20
	everything.MaxProcesses = 100
	everything.MaxConcurrentRequests = 200
	everything.Reflection = true
	// One key of a section leaves the defaults of the others.
	everything.GRPC.Keepalive.Get().ServerParameters.Get().MaxConnectionAge = time.Hour
	everything.SyscallArchitecture = "arm64"

	cm, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for id, want := range map[component.ID]*Config{
		component.NewID(metadata.Type):                       createDefaultConfig().(*Config),
		component.NewIDWithName(metadata.Type, "everything"): everything,
	} {
		cfg := createDefaultConfig()
		sub, err := cm.Sub(id.String())
		require.NoError(t, err)
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, confmap.Validate(cfg))
		assert.Equal(t, want, cfg, id.String())
	}
}

func TestValidate(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		require.EqualError(t, cfg.Validate(), want)
	}
	f(func(c *Config) { c.GRPC.NetAddr.Endpoint = "" }, "`endpoint` must not be empty")
	f(func(c *Config) { c.GRPC.MaxRecvMsgSizeMiB = 4 },
		"`max_recv_msg_size_mib` must not be set, use `max_message_size`: agents understand only its way to refuse a push; found 4")
	f(func(c *Config) { c.MaxMessageSize = 0 }, "`max_message_size` must be from 1 to 268435456 bytes, found 0")
	f(func(c *Config) { c.MaxMessageSize, c.MaxInflatedSize, c.MaxInflightSize = 1<<29, 1<<30, 1<<30 },
		"`max_message_size` must be from 1 to 268435456 bytes, found 536870912")
	f(func(c *Config) { c.MaxInflatedSize = 1 }, "`max_inflated_size` must be from `max_message_size` (33554432) to 1073741824 bytes, found 1")
	f(func(c *Config) { c.MaxInflatedSize, c.MaxInflightSize = 1<<31, 1<<32 },
		"`max_inflated_size` must be from `max_message_size` (33554432) to 1073741824 bytes, found 2147483648")
	f(func(c *Config) { c.MaxInflightSize = 1 }, "`max_inflight_size` must be at least `max_inflated_size` (134217728) bytes, found 1")
	f(func(c *Config) { c.MaxConcurrentRequests = -1 }, "`max_concurrent_requests` must be at least 0, found -1")
	f(func(c *Config) { c.MaxProcesses = 0 }, "`max_processes` must be at least 1, found 0")
	f(func(c *Config) { c.SyscallArchitecture = "vax" }, "`syscall_architecture` must be amd64 or arm64, found \"vax\"")
	f(func(c *Config) { c.GRPC.NetAddr.Endpoint, c.MaxProcesses = "", -1 },
		"`endpoint` must not be empty\n`max_processes` must be at least 1, found -1")
}
