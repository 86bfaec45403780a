package chserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	launcherName = "clickhouse-embedded"
	libraryName  = "libchdb.so"
	// systemDir is where a package installs the launcher and the library.
	systemDir = "/usr/lib/aperture-collector"
)

// FindLauncher returns the launcher: beside the running program, or where a
// package puts it.
func FindLauncher() (string, error) {
	dir, err := executableDir()
	if err != nil {
		return "", err
	}
	return firstFile("launcher", "make build", filepath.Join(dir, launcherName), filepath.Join(systemDir, launcherName))
}

// FindLibrary returns the library: in the folder lib beside the running program,
// beside it, or where a package puts it.
func FindLibrary() (string, error) {
	dir, err := executableDir()
	if err != nil {
		return "", err
	}
	return firstFile("library", "make deps",
		filepath.Join(dir, "lib", libraryName), filepath.Join(dir, libraryName), filepath.Join(systemDir, libraryName))
}

func executableDir() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find running program: %w", err)
	}
	return filepath.Dir(path), nil
}

func firstFile(what, target string, paths ...string) (string, error) {
	for _, path := range paths {
		switch _, err := os.Stat(path); {
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("find the ClickHouse %s: %w", what, err)
		}
	}
	return "", fmt.Errorf("find the ClickHouse %s: not at any of %q; `%s` provides it", what, paths, target)
}
