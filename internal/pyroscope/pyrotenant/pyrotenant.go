// Package pyrotenant says whose a request of a client of Grafana Pyroscope is, and
// answers such clients in the shape of errors that they know.
package pyrotenant

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/tenant"
)

// Header names the tenant of a request.
const Header = "X-Scope-OrgID"

// ErrUnauthenticated is the cause of errors about requests without a tenant that can
// be.
var ErrUnauthenticated = errors.New("unauthenticated")

type unauthenticated string

func (e unauthenticated) Error() string { return string(e) }
func (unauthenticated) Unwrap() error   { return ErrUnauthenticated }

// Of returns the tenant of a request by its headers. Without multitenancy, that is
// always the default one. The error wraps [ErrUnauthenticated]; its text is for the
// client.
func Of(h http.Header, multitenancy bool) (string, error) {
	if !multitenancy {
		return profile.DefaultTenant, nil
	}
	values := h.Values(Header)
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "", unauthenticated("no org id")
	}
	if len(values) > 1 {
		return "", unauthenticated(fmt.Sprintf("multiple org IDs present: found %d values of %s", len(values), Header))
	}
	name := values[0]
	if len(name) > tenant.MaxLength {
		return "", unauthenticated(fmt.Sprintf("tenant ID is too long: found %d characters, the limit is %d", len(name), tenant.MaxLength))
	}
	if i := strings.IndexFunc(name, unsupported); i >= 0 {
		return "", unauthenticated(fmt.Sprintf("tenant ID '%s' contains unsupported character '%c'", name, []rune(name[i:])[0]))
	}
	if err := tenant.Validate(name); err != nil {
		return "", unauthenticated("tenant ID is '.' or '..', which are not allowed")
	}
	return name, nil
}

// unsupported finds the characters that tenant.Validate refuses, to name the first.
func unsupported(r rune) bool { return tenant.Validate("a"+string(r)) != nil }
