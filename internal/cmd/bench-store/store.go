package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/extension"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// store is a profile_store of this process.
type store struct {
	profilestore.Store
	querier profilestore.Querier
	ext     extension.Extension
}

// openStore opens a store with its defaults; with maxStacks a merge may have more
// rows.
func openStore(ctx context.Context, ep chserver.Endpoint, maxStacks int) (*store, error) {
	factory := profilestoreextension.NewFactory()
	config := factory.CreateDefaultConfig().(*profilestoreextension.Config)
	config.Endpoint = []string{ep.Addr}
	config.Username, config.Password = ep.Username, configopaque.String(ep.Password)
	config.Query.MaxStacks = max(config.Query.MaxStacks, maxStacks)
	ext, err := factory.Create(ctx, extension.Settings{
		ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(),
	}, config)
	if err != nil {
		return nil, err
	}
	if err := ext.Start(ctx, componenttest.NewNopHost()); err != nil {
		return nil, err
	}
	s := &store{Store: ext.(profilestore.Store), querier: ext.(profilestore.Querier), ext: ext}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := s.Ready()
		if err == nil {
			return s, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("open store: %w", err), s.close(ctx))
		}
	}
}

func (s *store) close(ctx context.Context) error { return s.ext.Shutdown(context.WithoutCancel(ctx)) }
