package chserver

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// passwordBytes is the entropy of a password.
const passwordBytes = 24

// loadPassword returns the password of a data directory, which it makes when
// there is none. One that others could have read is replaced.
func loadPassword(dir string) (string, error) {
	path := passwordPath(dir)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newPassword(path)
	case err != nil:
		return "", fmt.Errorf("read password: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return newPassword(path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	password := strings.TrimSpace(string(text))
	if raw, err := hex.DecodeString(password); err != nil || len(raw) != passwordBytes {
		return newPassword(path)
	}
	return password, nil
}

func newPassword(path string) (string, error) {
	var raw [passwordBytes]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand)
	password := hex.EncodeToString(raw[:])
	if err := writePrivate(path, []byte(password+"\n")); err != nil {
		return "", fmt.Errorf("write password: %w", err)
	}
	return password, nil
}

// writePrivate replaces a file at once with one that only its owner can read.
func writePrivate(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // the first error is the one to report
	}
	return err
}
