package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// libraryEntry is the library in the package.
	libraryEntry = "package/libchdb.so"
	// maxLibrary bounds what is unpacked, in bytes; the library has 566 MB.
	maxLibrary = 4 << 30
)

// install makes sure that out is the library of the release.
func install(ctx context.Context, r release, cache, out string) error {
	ok, err := upToDate(out, r.librarySHA256)
	if err != nil || ok {
		return err
	}
	pkg, err := fetch(ctx, r, cache)
	if err != nil {
		return err
	}
	return unpack(pkg, r, out)
}

// upToDate reports whether the file is there and has the checksum. Without a
// checksum to compare with it never is.
func upToDate(path, sum string) (bool, error) {
	if sum == "" {
		return false, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("check library: %w", err)
	}
	defer f.Close() //nolint:errcheck // read-only
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return false, fmt.Errorf("check library: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)) == sum, nil
}

// unpack writes the library of a verified package to out, at once: out is never
// half a library.
func unpack(pkg string, r release, out string) error {
	f, err := os.Open(pkg)
	if err != nil {
		return fmt.Errorf("unpack package: %w", err)
	}
	defer f.Close() //nolint:errcheck // read-only
	entry, err := findLibrary(f)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", pkg, err)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return fmt.Errorf("unpack package: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(out), filepath.Base(out)+".*")
	if err != nil {
		return fmt.Errorf("unpack package: %w", err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone after the rename
	sum, err := writeLibrary(tmp, entry)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("unpack %s: %w", pkg, err)
	}
	if r.librarySHA256 != "" && sum != r.librarySHA256 {
		return fmt.Errorf("unpack %s: the library has SHA-256 %s, pinned is %s", pkg, sum, r.librarySHA256)
	}
	if err := os.Rename(tmp.Name(), out); err != nil {
		return fmt.Errorf("unpack package: %w", err)
	}
	return nil
}

// findLibrary returns the content of the library in a .tgz.
func findLibrary(tgz io.Reader) (io.Reader, error) {
	inflated, err := gzip.NewReader(tgz)
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(inflated)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("no %s in it", libraryEntry)
		}
		if err != nil {
			return nil, err
		}
		if header.Name != libraryEntry {
			continue
		}
		if header.Size > maxLibrary {
			return nil, fmt.Errorf("%s has %d bytes, limit is %d", libraryEntry, header.Size, int64(maxLibrary))
		}
		return archive, nil
	}
}

func writeLibrary(f *os.File, content io.Reader) (sum string, err error) {
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, hash), content); err != nil {
		return "", err
	}
	if err := f.Chmod(0o755); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), f.Sync()
}
