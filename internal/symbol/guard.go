package symbol

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// errFault is returned when a mapped file could not be read where it should
// have had data, which happens when it is truncated while it is mapped.
var errFault = errors.New("file changed while it was read")

// guard runs fn, which reads mapped files. A file that another process
// truncates raises SIGBUS on access; the runtime turns that into a panic for
// this goroutine, and guard turns the panic into an error. Other run-time
// errors become errors as well: a hostile file must never take the collector
// down.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		re, ok := r.(runtime.Error)
		if !ok {
			panic(r)
		}
		if _, isFault := r.(interface{ Addr() uintptr }); isFault {
			err = errFault
			return
		}
		err = fmt.Errorf("parse file: %w", re)
	}()
	return fn()
}
