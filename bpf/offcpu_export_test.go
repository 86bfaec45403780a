package bpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// StartOffCPUSampled is StartOffCPU as it runs on kernels before 6.18.
func (h *Host) StartOffCPUSampled(opts OffCPUOptions) (*OffCPU, error) {
	return h.startOffCPU(opts, loadOffcpusampledObj)
}

// StartOffCPUUnattachable is StartOffCPU where the exact programs can be loaded but
// not attached.
func (h *Host) StartOffCPUUnattachable(opts OffCPUOptions) (*OffCPU, error) {
	return h.startOffCPU(opts, func() (*ebpf.CollectionSpec, error) {
		spec, err := loadOffcpuObj()
		if err != nil {
			return nil, err
		}
		// A program that belongs to another kind of hook is loaded as well.
		for _, p := range spec.Programs {
			p.Type, p.AttachType, p.AttachTo, p.SectionName = ebpf.SocketFilter, 0, "", "socket"
			p.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
		}
		return spec, nil
	}, loadOffcpusampledObj)
}

// Pending returns the threads whose waits have ended and are not counted yet.
func (c *OffCPU) Pending() ([]uint32, error) {
	var threads []uint32
	var key struct {
		Place    uint64
		TID, Pad uint32
	}
	m := c.objects[0].coll.Maps["pending"]
	value := make([]byte, m.ValueSize())
	it := m.Iterate()
	for it.Next(&key, &value) {
		threads = append(threads, key.TID)
	}
	return threads, it.Err()
}

// HasPrevState is hasPrevState.
var HasPrevState = hasPrevState
