package profilebufferprocessor

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/client"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/tenant"
)

// headerTenant returns the tenant that the client's metadata names, empty for none.
func (p *bufferProcessor) headerTenant(ctx context.Context) (string, error) {
	if p.cfg.TenantHeader == "" {
		return "", nil
	}
	values := client.FromContext(ctx).Metadata.Get(p.cfg.TenantHeader)
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "", nil
	}
	if len(values) > 1 {
		return "", fmt.Errorf("client metadata `%s` has %d values; at most one is supported", p.cfg.TenantHeader, len(values))
	}
	return values[0], nil
}

// assignTenant gives everything in g its tenant: override if there is one, else
// what each resource says.
func assignTenant(g *profile.Groups, override string) error {
	if override != "" {
		if err := tenant.Validate(override); err != nil {
			return err
		}
		for _, grp := range g.Groups {
			grp.Series.Tenant = override
		}
		for i := range g.Batches {
			g.Batches[i].Tenant = override
		}
		return nil
	}
	last := profile.DefaultTenant // checked: most pushes have one tenant
	check := func(name *string) error {
		if *name == "" {
			*name = profile.DefaultTenant
		}
		if *name == last {
			return nil
		}
		last = *name
		return tenant.Validate(last)
	}
	for _, grp := range g.Groups {
		if err := check(&grp.Series.Tenant); err != nil {
			return err
		}
	}
	for i := range g.Batches {
		if err := check(&g.Batches[i].Tenant); err != nil {
			return err
		}
	}
	return nil
}
