package aperturereceiver

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/client"
)

// tenantHeader is the metadata that names the tenant.
const tenantHeader = "x-scope-orgid"

// maxTenant is the most bytes of a tenant.
const maxTenant = 150

// tenantOf returns the tenant that the client's metadata names, empty if none.
// Allowed are the characters that Grafana's databases allow in a tenant.
func tenantOf(ctx context.Context) (string, error) {
	values := client.FromContext(ctx).Metadata.Get(tenantHeader)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", fmt.Errorf("read %s: found %d values, the limit is 1", tenantHeader, len(values))
	}
	tenant := values[0]
	if len(tenant) > maxTenant {
		return "", fmt.Errorf("read %s: found %d bytes, the limit is %d", tenantHeader, len(tenant), maxTenant)
	}
	if i := strings.IndexFunc(tenant, notInTenant); i >= 0 {
		return "", fmt.Errorf("read %s: %q has a character at offset %d that is none of letters, digits and !-_.*'()", tenantHeader, tenant, i)
	}
	if tenant == "." || tenant == ".." {
		return "", fmt.Errorf("read %s: must not be %q", tenantHeader, tenant)
	}
	return tenant, nil
}

func notInTenant(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!-_.*'()", r)
}
