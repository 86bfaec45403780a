package chserver

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// loopback is the only address the server listens on.
const loopback = "127.0.0.1"

// reservation keeps a port for the child while none listens on it. The socket is
// bound but not listening, with SO_REUSEPORT as its only option: processes of
// the same user that set it too (the child does) can listen on the port, all
// others cannot, so that nobody can take the port, and the password that clients
// send to it, while the server is being restarted (socket(7)).
type reservation struct {
	file *os.File
	port int
}

// reservePort reserves a port on loopback; 0 picks a free one.
func reservePort(port int) (*reservation, error) {
	if port != 0 {
		// Without this a server of the same user on the same port would go
		// unnoticed, and the kernel would share connections out between the two.
		l, err := net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err != nil {
			return nil, fmt.Errorf("reserve port %d: %w", port, err)
		}
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("reserve port %d: %w", port, err)
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve port %d: %w", port, err)
	}
	r := &reservation{file: os.NewFile(uintptr(fd), "port reservation")}
	if r.port, err = bindLoopback(fd, port); err != nil {
		_ = r.file.Close() // the socket was never used
		return nil, fmt.Errorf("reserve port %d: %w", port, err)
	}
	return r, nil
}

func bindLoopback(fd, port int) (int, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return bound.(*unix.SockaddrInet4).Port, nil
}

func (r *reservation) addr() string { return net.JoinHostPort(loopback, strconv.Itoa(r.port)) }

func (r *reservation) close() error { return r.file.Close() }
