// Package tenant says what may name a tenant.
package tenant

import (
	"fmt"
	"strings"
)

// MaxLength is the longest tenant in bytes.
const MaxLength = 150

// Validate checks the name of a tenant by the rules of Grafana's databases, so
// that one name works everywhere: at most [MaxLength] letters, digits and
// characters of !-_.*'() and neither "." nor "..".
// See https://grafana.com/docs/mimir/latest/configure/about-tenant-ids/.
func Validate(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("tenant is %q; it must be a name", name)
	case len(name) > MaxLength:
		return fmt.Errorf("tenant is %d bytes long; the limit is %d", len(name), MaxLength)
	}
	if i := strings.IndexFunc(name, unsupported); i >= 0 {
		return fmt.Errorf("tenant %q has a character at offset %d that is none of letters, digits and !-_.*'()", name, i)
	}
	return nil
}

func unsupported(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!-_.*'()", r)
}
