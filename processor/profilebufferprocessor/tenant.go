package profilebufferprocessor

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/client"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

const maxTenantLength = 150

// tenantChars are the characters of a tenant, those of Mimir and Pyroscope:
// letters, digits and these.
const tenantChars = "!-_.*'()"

// validateTenant checks that s may name a tenant.
func validateTenant(s string) error {
	switch {
	case s == "" || s == "." || s == "..":
		return fmt.Errorf("tenant is %q; it must be a name", s)
	case len(s) > maxTenantLength:
		return fmt.Errorf("tenant is %d bytes long; the limit is %d", len(s), maxTenantLength)
	}
	for _, r := range s {
		if !isTenantRune(r) {
			return fmt.Errorf("tenant %q contains the unsupported character %q", s, r)
		}
	}
	return nil
}

func isTenantRune(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	}
	for _, c := range tenantChars {
		if r == c {
			return true
		}
	}
	return false
}

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
		if err := validateTenant(override); err != nil {
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
	check := func(tenant *string) error {
		if *tenant == "" {
			*tenant = profile.DefaultTenant
		}
		if *tenant == last {
			return nil
		}
		last = *tenant
		return validateTenant(last)
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
