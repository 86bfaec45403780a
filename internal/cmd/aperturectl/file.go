package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// isTerminal reports whether something is a terminal.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// cannotWrite says which file an error is about, but for errors that say so already
// what they are about.
func cannotWrite(name string, err error) error {
	var known *failure
	var at *addressError
	var usage *usageError
	if err == nil || errors.As(err, &known) || errors.As(err, &at) || errors.As(err, &usage) || errors.Is(err, context.Canceled) {
		return err
	}
	return failf("cannot write %s: %s", name, unwrapPath(err))
}

// toFile has write make a file: all of it, or none. An empty name and `-` are the
// standard output, where binary formats are refused if it is a terminal.
func (a *app) toFile(name string, binary bool, write func(io.Writer) error) error {
	return cannotWrite(name, a.writeFile(name, binary, write))
}

func (a *app) writeFile(name string, binary bool, write func(io.Writer) error) error {
	if name == "" || name == "-" {
		if binary && isTerminal(a.out) {
			return usagef("the format is binary: name a file by -o, or redirect the output")
		}
		return write(a.out)
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		// A pipe or a device cannot be replaced.
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return unwrapPath(err)
		}
		err = write(f)
		return firstError(err, f.Close())
	}
	temp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text()[:8])
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return unwrapPath(err)
	}
	err = write(f)
	if err = firstError(err, f.Close()); err == nil {
		err = os.Rename(temp, name)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
