package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/features"
)

// Profile is one kind of profile that runs on a Host.
type Profile interface {
	// Stats returns the counters of its programs.
	Stats() (Stats, error)
	// Stop ends sampling; what was counted can still be collected.
	Stop() error
	// Close stops sampling and frees the programs. What was not collected is
	// lost. It may be called more than once.
	Close() error
}

// running is what profiles have in common.
type running struct {
	host    *Host
	objects []*object
	closed  bool
}

// Stats implements Profile.
func (r *running) Stats() (Stats, error) {
	var sum Stats
	for _, o := range r.objects {
		s, err := o.stats()
		if err != nil {
			return sum, err
		}
		for i := range s {
			sum[i] += s[i]
		}
	}
	return sum, nil
}

// Stop implements Profile.
func (r *running) Stop() error {
	var err error
	for _, o := range r.objects {
		err = errors.Join(err, o.detach())
	}
	return err
}

// Close implements Profile.
func (r *running) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.Stop()
	for _, o := range r.objects {
		r.host.remove(o)
		err = errors.Join(err, o.close())
	}
	return err
}

// CPU is a running CPU profile of the whole host.
type CPU struct {
	running
	clocks    clocks
	frequency int
	uneven    bool // not all clocks have the frequency
	program   int
	stopped   bool
}

// StartCPU starts sampling what runs, frequency times a second on every
// processor. On kernels before 5.17 user stacks follow frame pointers only.
func (h *Host) StartCPU(frequency int) (*CPU, error) {
	spec, err := loadCpuObj()
	if err != nil {
		return nil, err
	}
	program := "aperture_cpu"
	if !h.Unwinds() {
		program = "aperture_cpu_fp"
	}
	o, err := h.load(spec, 1, nil, program)
	if err != nil {
		return nil, explain("loading the CPU profile", err)
	}
	c := &CPU{
		running: running{host: h, objects: []*object{o}}, clocks: clocks{},
		frequency: frequency, program: o.coll.Programs[program].FD(),
	}
	o.links = append(o.links, c.clocks)
	h.add(o)
	if err := c.clocks.sync(frequency, c.program); err != nil {
		_ = c.Close()
		return nil, explain("starting the CPU profile", err)
	}
	return c, nil
}

// Follow attaches to processors that were switched on and lets go of those that
// were switched off. It makes up for a SetFrequency that failed. Call it now and
// then.
func (c *CPU) Follow() error {
	if c.stopped {
		return nil
	}
	err := c.clocks.sync(c.frequency, c.program)
	if c.uneven {
		err = errors.Join(err, c.SetFrequency(c.frequency))
	}
	return err
}

// Frequency returns how often a processor is sampled in a second. After a
// SetFrequency that failed it is what all of them will have.
func (c *CPU) Frequency() int { return c.frequency }

// SetFrequency changes how often processors are sampled, to a number from 1 on.
// If that fails for some of them, Follow tries again.
func (c *CPU) SetFrequency(frequency int) error {
	if frequency < 1 {
		return fmt.Errorf("set frequency of the CPU profile: %d Hz, must be at least 1", frequency)
	}
	c.frequency, c.uneven = frequency, false
	var errs error
	for cpu, fd := range c.clocks {
		if err := setFrequency(fd, frequency); err != nil {
			c.uneven = true
			errs = errors.Join(errs, fmt.Errorf("set clock of processor %d to %d Hz: %w", cpu, frequency, err))
		}
	}
	return errs
}

// Stop implements Profile.
func (c *CPU) Stop() error {
	c.stopped = true
	return c.running.Stop()
}

// Close implements Profile.
func (c *CPU) Close() error {
	_ = c.Stop()
	return c.running.Close()
}

// Unwinds tells whether this kernel can unwind stacks without frame pointers
// (from 5.17 on).
func (h *Host) Unwinds() bool {
	v, err := features.LinuxVersionCode()
	return err == nil && v >= 5<<16|17<<8
}
