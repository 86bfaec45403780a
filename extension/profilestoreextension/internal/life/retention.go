package life

import (
	"time"
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

// uniform reports whether the TTL of the table does everything.
func (r *Retention) uniform() bool { return len(r.Overrides) == 0 }

// lateness is how much longer than its retention a row of a closed hour may stay:
// every delete writes all other rows of a partition again.
func lateness(retention time.Duration) time.Duration {
	return min(24*time.Hour, retention/4)
}
