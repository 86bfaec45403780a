package main

import (
	"crypto/rand"
	"fmt"
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

// toFile has write make a file: all of it, or none. An empty name and `-` are the
// standard output, where binary formats are refused if it is a terminal.
func (a *app) toFile(name string, binary bool, write func(io.Writer) error) error {
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
			return fmt.Errorf("open file: %w", err)
		}
		err = write(f)
		return firstError(err, f.Close())
	}
	temp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text()[:8])
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("create file: %w", err)
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
