package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// smallDiskSize is the size of the file system of a small disk in bytes. A fresh
// server with the data of a few cycles needs about a quarter of it.
const smallDiskSize = 128 << 20

// errNoMount says that this process may not mount file systems.
var errNoMount = errors.New("mounting a small file system needs root")

// mountSmallDisk mounts an empty file system in dir, which it makes.
func mountSmallDisk(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	err := unix.Mount("aperture-chaos", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%d,mode=0700", smallDiskSize))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: %w", errNoMount, err)
	}
	if err != nil {
		return fmt.Errorf("mount small disk: %w", err)
	}
	return nil
}

// unmount gives the file system back. A server whose collector was killed uses it
// for some more seconds; after these it goes when the server does.
func unmount(dir string) error {
	for range 200 {
		err := unix.Unmount(dir, 0)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("unmount small disk: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach small disk: %w", err)
	}
	return nil
}

func ballastPath(dir string) string { return filepath.Join(dir, "ballast") }

// fill leaves no block of the file system of dir free. It may be called again,
// to take what was freed since.
func fill(dir string) error {
	f, err := os.OpenFile(ballastPath(dir), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("fill disk: %w", err)
	}
	for size := 1 << 20; size >= 4096; {
		if _, err = f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			break
		}
	}
	if err := errors.Join(ignore(err, unix.ENOSPC), f.Close()); err != nil {
		return fmt.Errorf("fill disk: %w", err)
	}
	return nil
}

// free undoes fill.
func free(dir string) error {
	if err := ignore(os.Remove(ballastPath(dir)), os.ErrNotExist); err != nil {
		return fmt.Errorf("free disk: %w", err)
	}
	return nil
}

func ignore(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}
