package httpserverextension

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension/internal/metadata"
)

const defaultMaxRequestBodySize = 20 << 20

// NewFactory returns the factory of the http_server extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "127.0.0.1:9090"
	server.MaxRequestBodySize = defaultMaxRequestBodySize
	// A client that dribbles its request in must not hold a connection for long;
	// a large answer to a slow client may take its time.
	server.ReadHeaderTimeout = 10 * time.Second
	server.ReadTimeout = time.Minute
	server.WriteTimeout = 2 * time.Minute
	return &Config{
		ServerConfig: server,
		Limits: LimitsConfig{
			MaxConcurrentRequests: 256,
			MaxHeaderBytes:        64 << 10,
			RetryAfter:            time.Second,
			ShutdownTimeout:       10 * time.Second,
		},
	}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newServer(set, cfg.(*Config))
}
