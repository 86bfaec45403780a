package life

import (
	"strconv"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
)

// Retention says how long rows live.
type Retention struct {
	// Profiles is the usual retention of observations, Batches that of the list of
	// batches.
	Profiles, Batches time.Duration
	// Overrides are for some tenants and services. The one that names most counts:
	// tenant and service before service before tenant.
	Overrides []Override
}

// Override is a retention for all that have its tenant and its service; empty names
// are any.
type Override struct {
	Tenant, Service string
	Retention       time.Duration
}

// Longest returns that of all observations.
func (r *Retention) Longest() time.Duration {
	out := r.Profiles
	for i := range r.Overrides {
		out = max(out, r.Overrides[i].Retention)
	}
	return out
}

// LongestBatches returns that of all batches.
func (r *Retention) LongestBatches() time.Duration {
	out := r.Batches
	for i := range r.Overrides {
		if r.Overrides[i].Service == "" {
			out = max(out, min(r.Batches, r.Overrides[i].Retention))
		}
	}
	return out
}

// of returns the retention of a service.
func (r *Retention) of(tenant, service string) time.Duration {
	out, best := r.Profiles, 0
	for _, o := range r.Overrides {
		if o.Tenant != "" && o.Tenant != tenant || o.Service != "" && o.Service != service {
			continue
		}
		rank := 0
		if o.Tenant != "" {
			rank++
		}
		if o.Service != "" {
			rank += 2
		}
		if rank > best {
			out, best = o.Retention, rank
		}
	}
	return out
}

// ofBatches returns the retention of the batches of a tenant, which are of all its
// services: they do not live longer than what the tenant keeps.
func (r *Retention) ofBatches(tenant string) time.Duration {
	out := r.Batches
	for _, o := range r.Overrides {
		if o.Tenant == tenant && o.Service == "" {
			out = min(out, o.Retention)
		}
	}
	return out
}

// Shortest returns that of anything of a tenant, batches too.
func (r *Retention) Shortest(tenant string) time.Duration {
	out := min(r.Profiles, r.ofBatches(tenant))
	for _, o := range r.Overrides {
		if o.Tenant == "" || o.Tenant == tenant {
			out = min(out, o.Retention)
		}
	}
	return out
}

// Alive returns the condition for rows of chunks of a tenant and service whose time is
// not over, and adds what it binds to p. An empty service is any. A table keeps rows
// for longer: until all that are in one part with them may go.
func (r *Retention) Alive(tenant, service string, p *chconn.Params) string {
	usual := r.of(tenant, service)
	var services []string
	var seconds []string
	if service == "" {
		seen := make(map[string]struct{})
		for _, o := range r.Overrides {
			if o.Service == "" || o.Tenant != "" && o.Tenant != tenant {
				continue
			}
			if _, ok := seen[o.Service]; ok {
				continue
			}
			seen[o.Service] = struct{}{}
			services = append(services, o.Service)
			seconds = append(seconds, wholeSeconds(r.of(tenant, o.Service)))
		}
	}
	if len(services) == 0 {
		return aliveFor(wholeSeconds(usual))
	}
	p.Strings("lasting", services)
	return aliveFor("transform(toString(service), {lasting:Array(String)}, [" + strings.Join(seconds, ",") + "], " + wholeSeconds(usual) + ")")
}

// BatchesAlive is Alive for batches.
func (r *Retention) BatchesAlive(tenant string) string {
	return aliveFor(wholeSeconds(r.ofBatches(tenant)))
}

func aliveFor(seconds string) string { return "stored >= now() - toIntervalSecond(" + seconds + ")" }

func wholeSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// uniform reports whether the TTL of the table does everything.
func (r *Retention) uniform() bool { return len(r.Overrides) == 0 }

// lateness is how much longer than its retention a row of a closed hour may stay:
// every delete writes all other rows of a partition again.
func lateness(retention time.Duration) time.Duration {
	return min(24*time.Hour, retention/4)
}
