package chserver_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

func TestPasswordIsNeeded(t *testing.T) {
	server := clickhousetest.Start(t)
	endpoint := server.Endpoint()
	answer, err := clickhousetest.Query(endpoint, endpoint.Username, endpoint.Password, "SELECT currentUser()")
	require.NoError(t, err)
	assert.Equal(t, chserver.User, answer)

	for name, login := range map[string]struct{ user, password, want string }{
		"wrong password":          {chserver.User, "wrong", "AUTHENTICATION_FAILED"},
		"no password":             {chserver.User, "", "AUTHENTICATION_FAILED"},
		"unknown user":            {"root", "", "AUTHENTICATION_FAILED"},
		"default":                 {"default", "", "USER_SESSION_LIMIT_EXCEEDED"},
		"default, anonymous":      {"", "", "USER_SESSION_LIMIT_EXCEEDED"},
		"default, with password":  {"default", "x", "Authentication failed"},
		"default, password of us": {"default", endpoint.Password, "Authentication failed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := clickhousetest.Query(endpoint, login.user, login.password, "SELECT 1")
			require.ErrorContains(t, err, login.want)
			_, err = nativeHello(endpoint.Addr, login.user, login.password)
			if login.want == "USER_SESSION_LIMIT_EXCEEDED" && login.user == "" {
				return // the native protocol has no anonymous login
			}
			require.Error(t, err)
		})
	}
	_, err = nativeHello(endpoint.Addr, endpoint.Username, endpoint.Password)
	require.NoError(t, err)
}

// nativeHello logs in over the native protocol and returns the name of the
// server, or the text of its exception as error.
func nativeHello(addr, user, password string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	if _, err := conn.Write(helloPacket("", user, password)); err != nil {
		return "", err
	}
	var answer [4096]byte
	n, err := conn.Read(answer[:])
	switch {
	case err != nil:
		return "", err
	case answer[0] == 0:
		return string(answer[2 : 2+min(int(answer[1]), n-2)]), nil
	default:
		return "", fmt.Errorf("exception %q", answer[:n])
	}
}

func TestUserHasNoFilesOrNetwork(t *testing.T) {
	endpoint := clickhousetest.Start(t).Endpoint()
	for _, statement := range []string{
		"SELECT * FROM file('/etc/passwd', 'LineAsString')",
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
		"INSERT INTO FUNCTION file('x.tsv') SELECT 1",
	} {
		_, err := clickhousetest.Query(endpoint, endpoint.Username, endpoint.Password, statement)
		assert.ErrorContains(t, err, "Not enough privileges", statement)
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	server := clickhousetest.Start(t)
	listening := listeners(t, server.PID())
	assert.Subset(t, listening, []string{server.Endpoint().Addr, server.Endpoint().HTTPAddr})
	assert.Len(t, listening, 4, "the two of the server itself are behind those")
	for _, addr := range listening {
		assert.True(t, strings.HasPrefix(addr, "127.0.0.1:"), addr)
	}
}

// listeners returns the addresses that a process listens on.
func listeners(t *testing.T, pid int) []string {
	t.Helper()
	sockets := map[string]bool{}
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	fds, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, fd := range fds {
		if target, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil {
			sockets[target] = true
		}
	}
	var found []string
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6
		}
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			const listen = "0A"
			f := strings.Fields(line)
			if f[3] != listen || !sockets["socket:["+f[9]+"]"] {
				continue
			}
			host, port, _ := strings.Cut(f[1], ":")
			if host == "0100007F" {
				host = "127.0.0.1"
			}
			number, err := strconv.ParseUint(port, 16, 16)
			require.NoError(t, err)
			found = append(found, fmt.Sprintf("%s:%d", host, number))
		}
	}
	return found
}

func TestFilesArePrivate(t *testing.T) {
	dir := t.TempDir()
	clickhousetest.New(t, dir, nil)
	for name, want := range map[string]os.FileMode{
		"password": 0o600, "config.xml": 0o600, "users.xml": 0o600, "lock": 0o600, "db": 0o700, "server.log": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, want, info.Mode().Perm(), name)
	}
}

func TestReadablePasswordIsReplaced(t *testing.T) {
	dir := t.TempDir()
	first := clickhousetest.New(t, dir, nil)
	password := first.Endpoint().Password
	clickhousetest.Stop(t, first)
	second := clickhousetest.New(t, dir, nil)
	assert.Equal(t, password, second.Endpoint().Password, "stable over restarts")
	clickhousetest.Stop(t, second)

	path := filepath.Join(dir, "password")
	require.NoError(t, os.Chmod(path, 0o644))
	third := clickhousetest.New(t, dir, nil)
	assert.NotEqual(t, password, third.Endpoint().Password)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// While the server is down, nobody else may take its ports: clients go on sending
// the password to them.
func TestPortsStayReserved(t *testing.T) {
	server := brokenServer(t)
	for _, addr := range []string{server.Endpoint().Addr, server.Endpoint().HTTPAddr} {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			_ = l.Close() // the assertion reports it
		}
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		if os.Getuid() != 0 {
			continue // cannot become another user
		}
		cmd := helperCommand(t, "hijack", addr)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Path = publicCopy(t, cmd.Path)
		output, err := cmd.CombinedOutput()
		require.Error(t, err, "%s", output)
		assert.Contains(t, string(output), "address already in use")
	}
}

// publicCopy puts the test binary where another user may execute it.
func publicCopy(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "chserver-")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	binary, err := os.ReadFile(path)
	require.NoError(t, err)
	public := filepath.Join(dir, "test")
	require.NoError(t, os.WriteFile(public, binary, 0o755))
	return public
}

// helperHijack tries to listen on an address that someone else has reserved.
func helperHijack() error {
	addr, err := net.ResolveTCPAddr("tcp4", os.Args[1])
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	return unix.Listen(fd, 1)
}

// helperCommand is this test binary in another role.
func helperCommand(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	return cmd
}
