package bpf

// SpoilClocks makes the clocks of all processors files that are none, until the
// returned function is called.
func (c *CPU) SpoilClocks() (restore func()) {
	was := make(map[int]int, len(c.clocks))
	for cpu, fd := range c.clocks {
		was[cpu] = fd
		c.clocks[cpu] = -1
	}
	return func() {
		for cpu, fd := range was {
			c.clocks[cpu] = fd
		}
	}
}
