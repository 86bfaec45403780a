package profilebufferprocessor

import (
	"container/heap"
	"container/list"
	"sync"
	"unsafe"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// batchBytes is the estimated size of a batch in the view: the batch, its list
// element and its place in the list of its agent.
const batchBytes = int64(unsafe.Sizeof(apertureapi.BatchInfo{})+unsafe.Sizeof(list.Element{})) + 32

// liveView remembers recent batches, at most maxBatches and maxBytes. To make
// room, the agent with the most batches loses its oldest one, so that an agent
// that pushes a lot never displaces those that push little. It is safe for
// concurrent use.
type liveView struct {
	maxBatches int
	maxBytes   int64

	mu      sync.RWMutex
	batches *list.List // of apertureapi.BatchInfo, oldest first
	agents  map[agentKey]*agentBatches
	most    mostBatches
	bytes   int64
	dropped uint64
}

// agentBatches are the batches of one agent, oldest first.
type agentBatches struct {
	key     agentKey
	batches []*list.Element
	index   int // in the heap
}

func newLiveView(maxBatches int, maxBytes int64) *liveView {
	return &liveView{
		maxBatches: maxBatches, maxBytes: maxBytes,
		batches: list.New(), agents: make(map[agentKey]*agentBatches),
	}
}

// add appends batches and returns how many older ones made room.
func (l *liveView) add(batches []profile.Batch) (dropped int) {
	if l.maxBatches == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range batches {
		k := agentKey{b.Tenant, b.AgentID}
		a := l.agents[k]
		if a == nil {
			a = &agentBatches{key: k}
			l.agents[k] = a
			heap.Push(&l.most, a)
		}
		info := apertureapi.BatchInfo(b)
		a.batches = append(a.batches, l.batches.PushBack(info))
		heap.Fix(&l.most, a.index)
		l.bytes += infoBytes(info)
		for l.batches.Len() > l.maxBatches || l.bytes > l.maxBytes && l.batches.Len() > 0 {
			l.drop()
			dropped++
		}
	}
	l.dropped += uint64(dropped)
	return dropped
}

func infoBytes(b apertureapi.BatchInfo) int64 {
	return batchBytes + int64(len(b.Tenant)+len(b.AgentID))
}

// drop removes the oldest batch of the agent that has the most.
func (l *liveView) drop() {
	a := l.most[0]
	l.bytes -= infoBytes(l.batches.Remove(a.batches[0]).(apertureapi.BatchInfo))
	a.batches[0] = nil
	a.batches = a.batches[1:]
	if len(a.batches) == 0 {
		heap.Remove(&l.most, a.index)
		delete(l.agents, a.key)
		return
	}
	heap.Fix(&l.most, a.index)
}

// recent returns up to limit of the newest batches, oldest first.
func (l *liveView) recent(tenant string, agentID *string, limit int) []apertureapi.BatchInfo {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]apertureapi.BatchInfo, 0, max(min(limit, l.batches.Len()), 0))
	if agentID != nil {
		a := l.agents[agentKey{tenant, *agentID}]
		if a == nil {
			return out
		}
		for _, e := range a.batches[max(len(a.batches)-limit, 0):] {
			out = append(out, e.Value.(apertureapi.BatchInfo))
		}
		return out
	}
	for e := l.batches.Back(); e != nil && len(out) < limit; e = e.Prev() {
		if b := e.Value.(apertureapi.BatchInfo); b.Tenant == tenant {
			out = append(out, b)
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

func (l *liveView) stats() apertureapi.BufferStats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := apertureapi.BufferStats{
		Batches: l.batches.Len(), CapacityBatches: l.maxBatches,
		Bytes: l.bytes, CapacityBytes: l.maxBytes,
		Dropped: l.dropped,
	}
	if l.maxBatches > 0 {
		s.Utilization = float64(s.Batches) / float64(l.maxBatches)
	}
	if l.maxBytes > 0 {
		s.Utilization = max(s.Utilization, float64(s.Bytes)/float64(l.maxBytes))
	}
	return s
}

// mostBatches is a heap of agents: first the one with the most batches, then the
// one whose oldest batch arrived first.
type mostBatches []*agentBatches

func (m mostBatches) Len() int { return len(m) }

func (m mostBatches) Less(i, j int) bool {
	a, b := m[i].batches, m[j].batches
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return len(a) > 0 && a[0].Value.(apertureapi.BatchInfo).ReceivedAt < b[0].Value.(apertureapi.BatchInfo).ReceivedAt
}

func (m mostBatches) Swap(i, j int) {
	m[i], m[j] = m[j], m[i]
	m[i].index, m[j].index = i, j
}

// Push implements [heap.Interface].
func (m *mostBatches) Push(x any) {
	a := x.(*agentBatches)
	a.index = len(*m)
	*m = append(*m, a)
}

// Pop implements [heap.Interface].
func (m *mostBatches) Pop() any {
	last := len(*m) - 1
	a := (*m)[last]
	(*m)[last] = nil
	*m = (*m)[:last]
	return a
}
