package profilerule

import (
	"sync"
	"time"
)

// forget is after how long what is known of a tenant goes whose rules are no longer
// evaluated.
const forget = time.Hour

// history is what is known of the rules beside the store: whose turn it is. It is
// safe for concurrent use, and grows with the rules.
type history struct {
	mu      sync.Mutex
	tenants map[string]*tenantHistory
}

type tenantHistory struct {
	last  time.Time
	rules map[string]ruleHistory // by ID
}

// ruleHistory is what is known of a rule.
type ruleHistory struct {
	// tried is when its queries were last begun, found when it last had a value.
	tried, found time.Time
}

// recall sets what is known of the rules of plans.
func (h *history) recall(plans []plan) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range plans {
		p := &plans[i]
		if t := h.tenants[p.rule.Tenant]; t != nil {
			p.ruleHistory = t.rules[p.rule.ID]
		}
	}
}

// keep keeps what became of the rules of plans, which are all rules of their
// tenants.
func (h *history) keep(plans []plan, now time.Time) {
	known := make(map[string]*tenantHistory)
	for i := range plans {
		p := &plans[i]
		t := known[p.rule.Tenant]
		if t == nil {
			t = &tenantHistory{last: now, rules: make(map[string]ruleHistory)}
			known[p.rule.Tenant] = t
		}
		t.rules[p.rule.ID] = p.ruleHistory
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tenants == nil {
		h.tenants = make(map[string]*tenantHistory)
	}
	for name, t := range h.tenants {
		if now.Sub(t.last) > forget {
			delete(h.tenants, name)
		}
	}
	for name, t := range known {
		h.tenants[name] = t
	}
}
