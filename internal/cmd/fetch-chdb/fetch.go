package main

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fetch returns the path of the verified package in the cache, which it has npm
// fetch if it is not there or not right.
func fetch(ctx context.Context, r release, cache string) (string, error) {
	// Named by its checksum, a package never stands for another one.
	name := strings.NewReplacer("/", "-", "@", "-").Replace(strings.TrimPrefix(r.spec, "@")) + "-" + shortSum(r.integrity) + ".tgz"
	path := filepath.Join(cache, name)
	err := verify(path, r.integrity)
	if err == nil {
		return path, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "fetch-chdb:", err, "(fetching it again)")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("fetch package: %w", err)
	}
	dir, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", fmt.Errorf("fetch package: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the package is out of it by then
	fetched, err := npmPack(ctx, r.spec, dir)
	if err != nil {
		return "", err
	}
	if err := verify(fetched, r.integrity); err != nil {
		return "", fmt.Errorf("fetch %s: %w", r.spec, err)
	}
	if err := os.Rename(fetched, path); err != nil {
		return "", fmt.Errorf("fetch package: %w", err)
	}
	return path, nil
}

func shortSum(integrity string) string {
	sum := sha512.Sum512([]byte(integrity))
	return fmt.Sprintf("%x", sum[:6])
}

// npmPack has npm put a package into dir and returns its path.
func npmPack(ctx context.Context, spec, dir string) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("fetch %s: npm is needed, and only for this; install Node.js: %w", spec, err)
	}
	fmt.Fprintf(os.Stderr, "fetching %s (180 MB, once)\n", spec)
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", "--pack-destination", dir, spec)
	cmd.Dir = dir // not the settings of whatever folder this runs in
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("fetch %s: npm pack: %w: %s", spec, err, strings.TrimSpace(output.String()))
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return "", fmt.Errorf("fetch %s: npm pack left %d packages, want 1", spec, len(packed))
	}
	return packed[0], nil
}

// verify compares a file with a checksum in the notation of the registry, which
// is that of Subresource Integrity (https://www.w3.org/TR/sri-2/).
func verify(path, integrity string) error {
	encoded, ok := strings.CutPrefix(integrity, "sha512-")
	want, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(want) != sha512.Size {
		return fmt.Errorf("verify package: %q is not a sha512 integrity", integrity)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify package: %w", err)
	}
	defer f.Close() //nolint:errcheck // read-only
	hash := sha512.New()
	if _, err := io.Copy(hash, f); err != nil {
		return fmt.Errorf("verify package: %w", err)
	}
	if got := hash.Sum(nil); !bytes.Equal(got, want) {
		return fmt.Errorf("verify %s: integrity is sha512-%s, pinned is %s", filepath.Base(path), base64.StdEncoding.EncodeToString(got), integrity)
	}
	return nil
}
