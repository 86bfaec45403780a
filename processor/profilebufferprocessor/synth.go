package profilebufferprocessor

import (
	"slices"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// maxSequences bounds the number of agents whose sequence is remembered.
const maxSequences = 10_000

type agentKey struct{ tenant, agent string }

// sequences numbers the batches of agents that do not do so themselves. It is
// not safe for concurrent use.
type sequences struct {
	last *lru.Cache[agentKey, uint64]
}

func newSequences() *sequences {
	c, err := lru.New[agentKey, uint64](maxSequences)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &sequences{last: c}
}

func (s *sequences) next(k agentKey) uint64 {
	n, _ := s.last.Get(k)
	n++
	s.last.Add(agentKey{strings.Clone(k.tenant), strings.Clone(k.agent)}, n)
	return n
}

// nameAgents gives every series an agent and every agent a batch, so that what
// comes from sources that know neither can be listed and selected like the rest.
// Batches it adds have no sequence yet; from is the index of the first.
func nameAgents(g *profile.Groups, now int64) (from int) {
	named := make(map[*profile.Series]struct{}, len(g.Groups))
	for _, grp := range g.Groups {
		if _, done := named[grp.Series]; !done {
			named[grp.Series] = struct{}{}
			nameAgent(grp.Series)
		}
	}
	from = len(g.Batches)
	index := make(map[agentKey]int)
	for i, b := range g.Batches {
		index[agentKey{b.Tenant, b.AgentID}] = i
	}
	for _, grp := range g.Groups {
		k := agentKey{grp.Series.Tenant, grp.Series.AgentID()}
		i, ok := index[k]
		if !ok {
			i = len(g.Batches)
			index[k] = i
			g.Batches = append(g.Batches, profile.Batch{Tenant: k.tenant, AgentID: k.agent, ReceivedAt: now})
		}
		if i >= from {
			g.Batches[i].EventCount = profile.AddCount(g.Batches[i].EventCount, grp.Events())
		}
	}
	for i := range g.Batches {
		if g.Batches[i].ReceivedAt == 0 {
			g.Batches[i].ReceivedAt = now
		}
	}
	return from
}

// nameAgent labels a series with an agent if it has none: its host, else its
// service.
func nameAgent(s *profile.Series) {
	if s.AgentID() != "" {
		return
	}
	agent := s.Label("host.name")
	if agent == "" {
		agent = s.Label("service.name")
	}
	if agent == "" {
		agent = "unknown"
	}
	label := profile.Label{Name: profile.AttrAgentID, Value: agent}
	labels := slices.Clone(s.Labels)
	at, found := slices.BinarySearchFunc(labels, label, func(a, b profile.Label) int { return strings.Compare(a.Name, b.Name) })
	if found {
		labels[at] = label // it was there, and empty
	} else {
		labels = slices.Insert(labels, at, label)
	}
	s.Labels = labels
	s.ID, _ = profile.LabelsID(labels, nil)
}
