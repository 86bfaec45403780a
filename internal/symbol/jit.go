package symbol

import "time"

// jit returns a new File for the anonymous memory of a process. Release it.
func (c *Cache) jit(int) *File {
	f := &File{Path: anonymous, cache: c, refs: 1}
	f.used.Store(time.Now().UnixNano())
	f.state.Store(stateFailed)
	return f
}
