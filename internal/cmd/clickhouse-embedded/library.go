package main

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library is a loaded libchdb.so. It is never unloaded: the server leaves
// threads behind until the process ends.
type library struct {
	// queryCmdline is chdb_query_cmdline(int argc, char **argv), which returns a
	// result object or null.
	queryCmdline func(argc int32, argv unsafe.Pointer) uintptr
	// resultError is chdb_result_error(result), the text of the error or null.
	resultError func(result uintptr) string
}

func openLibrary(path string) (*library, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("load library %s: %w", path, err)
	}
	l := &library{}
	for name, fn := range map[string]any{
		"chdb_query_cmdline": &l.queryCmdline,
		"chdb_result_error":  &l.resultError,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("load library %s: %w", path, err)
		}
		purego.RegisterFunc(fn, symbol)
	}
	return l, nil
}

// serve runs the server until its start query ends.
func (l *library) serve(args []string) error {
	argv := make([]*byte, len(args)+1) // ends with a null pointer, as argv does
	var pinner runtime.Pinner
	defer pinner.Unpin()
	for i, arg := range args {
		text := append([]byte(arg), 0)
		argv[i] = &text[0]
		pinner.Pin(argv[i])
	}
	pinner.Pin(&argv[0])
	result := l.queryCmdline(int32(len(args)), unsafe.Pointer(&argv[0]))
	if result == 0 {
		return nil
	}
	if text := l.resultError(result); text != "" {
		return fmt.Errorf("run server: %s", text)
	}
	return nil
}
