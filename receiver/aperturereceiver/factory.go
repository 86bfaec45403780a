package aperturereceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configoptional"
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
	server.Keepalive = configoptional.Some(defaultKeepalive())
	return &Config{
		GRPC:                  server,
		MaxMessageSize:        32 * mib,
		MaxInflatedSize:       128 * mib,
		MaxInflightSize:       256 * mib,
		MaxProcesses:          16384,
		MaxConcurrentRequests: 16384,
		SyscallArchitecture:   "amd64",
	}
}

// defaultKeepalive suits agents behind load balancers. Connections end after half
// an hour (gRPC varies it by a tenth), so that agents find servers that were added;
// pushes in work then have as long as agents wait for them. Pings find peers that
// are gone and are more frequent than load balancers forget connections. Clients
// may ping as often as those of gRPC commonly do; gRPC would end their connection.
func defaultKeepalive() configgrpc.KeepaliveServerConfig {
	parameters := configgrpc.NewDefaultKeepaliveServerParameters()
	parameters.MaxConnectionAge = 30 * time.Minute
	parameters.MaxConnectionAgeGrace = 2 * time.Minute
	parameters.Time = time.Minute
	parameters.Timeout = 20 * time.Second
	policy := configgrpc.NewDefaultKeepaliveEnforcementPolicy()
	policy.MinTime = 10 * time.Second
	policy.PermitWithoutStream = true
	keepalive := configgrpc.NewDefaultKeepaliveServerConfig()
	keepalive.ServerParameters = configoptional.Some(parameters)
	keepalive.EnforcementPolicy = configoptional.Some(policy)
	return keepalive
}

func createProfiles(_ context.Context, set receiver.Settings, cfg component.Config, next xconsumer.Profiles) (xreceiver.Profiles, error) {
	return newReceiver(cfg.(*Config), set, next)
}
