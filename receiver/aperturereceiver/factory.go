package aperturereceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/xreceiver"

	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadata"
)

// NewFactory returns the factory of the aperture receiver.
func NewFactory() receiver.Factory {
	return xreceiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		xreceiver.WithProfiles(createProfiles, metadata.ProfilesStability),
	)
}

func createDefaultConfig() component.Config {
	server := configgrpc.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "127.0.0.1:50051"
	server.IncludeMetadata = true
	// Per connection; an agent has one push under way at a time.
	server.MaxConcurrentStreams = 256
	return &Config{
		GRPC:                server,
		MaxMessageSize:      32 * mib,
		MaxInflatedSize:     128 * mib,
		MaxInflightSize:     256 * mib,
		MaxProcesses:        16384,
		SyscallArchitecture: "amd64",
	}
}

func createProfiles(_ context.Context, set receiver.Settings, cfg component.Config, next xconsumer.Profiles) (xreceiver.Profiles, error) {
	return newReceiver(cfg.(*Config), set, next)
}
