package tracker

// Gone reports whether the tracker has forgotten the process: no stack of it
// can come any more.
func (p *Process) Gone() bool {
	p.tracker.mu.RLock()
	defer p.tracker.mu.RUnlock()
	return p.tracker.procs[key{p.PID, p.Image}] != p
}
