package reader

import (
	"hash/maphash"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Scope tells what one tenant stored from what others did in a cache: none is ever
// shown what another stored, even if it is equal.
type Scope profile.ID

// Who sends profiles can choose ids. The seeds keep them from choosing such that
// meet those of another tenant.
var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// ScopeOf returns the scope of a tenant, another one in each process.
func ScopeOf(tenant string) Scope {
	return Scope{Hi: maphash.String(seeds[0], tenant), Lo: maphash.String(seeds[1], tenant)}
}

// Key returns the key of id within the scope.
func (s Scope) Key(id profile.ID) profile.ID {
	return profile.ID{Hi: s.Hi ^ id.Hi, Lo: s.Lo + id.Lo}
}
