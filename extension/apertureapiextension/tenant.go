package apertureapiextension

import (
	"context"
	"net/http"

	"go.opentelemetry.io/collector/client"
	"google.golang.org/grpc/metadata"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/tenant"
)

// httpTenant returns the tenant that a request is about.
func (a *api) httpTenant(r *http.Request) (string, error) {
	if a.cfg.TenantHeader == "" {
		return profile.DefaultTenant, nil
	}
	return a.tenantOf(r.Header.Values(a.cfg.TenantHeader))
}

// grpcTenant returns the tenant that an RPC is about. The client's metadata is
// there only if the receiver is configured with include_metadata; without it the
// header must count all the same, or tenants would read each other's data.
func (a *api) grpcTenant(ctx context.Context) (string, error) {
	if a.cfg.TenantHeader == "" {
		return profile.DefaultTenant, nil
	}
	values := client.FromContext(ctx).Metadata.Get(a.cfg.TenantHeader)
	if len(values) == 0 {
		values = metadata.ValueFromIncomingContext(ctx, a.cfg.TenantHeader)
	}
	return a.tenantOf(values)
}

func (a *api) tenantOf(values []string) (string, error) {
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return profile.DefaultTenant, nil
	case len(values) > 1:
		return "", invalid(a.cfg.TenantHeader, "there are %d values; the limit is 1", len(values))
	}
	if err := tenant.Validate(values[0]); err != nil {
		return "", invalid(a.cfg.TenantHeader, "%s", err)
	}
	return values[0], nil
}
