package bpf

// StartLockRaw is StartLock as it runs where tracefs cannot be opened.
func (h *Host) StartLockRaw(opts LockOptions) (*Lock, error) {
	return h.startLock(opts, attachRawFutex)
}
