package bpf

// StartOffCPUSampled is StartOffCPU as it runs on kernels before 6.18.
func (h *Host) StartOffCPUSampled(opts OffCPUOptions) (*OffCPU, error) {
	return h.startOffCPU(opts, loadOffcpusampledObj)
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
