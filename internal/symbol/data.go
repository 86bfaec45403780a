package symbol

import (
	"errors"

	"golang.org/x/sys/unix"
)

// ErrNoData is returned for memory that is not backed by a file, and for files
// that could not be read.
var ErrNoData = errors.New("no contents")

// Data calls fn with the contents of the file (all of an ELF file as it is on
// disk). fn must not keep them. It must not trust them either: they may change
// while fn runs, and where they are gone (a file that was truncated) fn is ended
// and Data returns an error, as it does for out of range accesses and other
// runtime errors of fn.
func (f *File) Data(fn func(data []byte) error) error {
	f.dataMu.RLock()
	if f.data == nil {
		f.dataMu.RUnlock()
		return ErrNoData
	}
	f.touched.Store(true)
	err := func() error {
		defer f.unload()
		defer f.dataMu.RUnlock()
		return guard(func() error { return fn(f.data) })
	}()
	if errors.Is(err, errFault) {
		f.mu.Lock()
		f.fail()
		f.mu.Unlock()
		f.cache.count(ErrorFault)
	}
	return err
}

// unload gives the pages of the file back, which count as memory of this
// process although the kernel can read them again any time.
func (f *File) unload() {
	if !f.touched.Swap(false) {
		return
	}
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	if f.mapped {
		_ = unix.Madvise(f.data, unix.MADV_DONTNEED)
	}
}

// Retain keeps the file usable until Release is called as often. A File that a
// [Space] returned is retained by the Space until that is closed.
func (f *File) Retain() {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	f.refs++
}

// Release undoes one Retain.
func (f *File) Release() { f.cache.release(f) }
