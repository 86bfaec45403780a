package tracker

import (
	"bufio"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/internal/procinfo"
)

// programEnv makes the test binary run runProgram.
const programEnv = "APERTURE_TRACKER_PROGRAM"

// runProgram says that it is ready, obeys each line of its input and ends with
// it.
func runProgram() int {
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch what, arg, _ := strings.Cut(in.Text(), " "); what {
		case "exec":
			if err := syscall.Exec("/proc/self/exe", []string{"again"}, append(os.Environ(), programEnv+"=1")); err != nil {
				return 1
			}
		case "leave": // the main thread ends, others go on
			runtime.LockOSThread() // TestMain runs in the main thread
			go func() {
				fmt.Println("left")
				_, _ = io.Copy(io.Discard, os.Stdin)
				os.Exit(0)
			}()
			_, _, _ = syscall.Syscall(unix.SYS_EXIT, 0, 0, 0)
		case "map": // a file, as dlopen does
			f, err := os.Open(arg)
			if err != nil {
				return 1
			}
			b, err := unix.Mmap(int(f.Fd()), 0, 1<<20, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
			if err != nil {
				return 1
			}
			fmt.Printf("%p\n", b)
		case "anonymous": // as a just-in-time compiler does
			b, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			if err != nil {
				return 1
			}
			fmt.Printf("%p\n", b)
		}
	}
	return 0
}

// program is a running one.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Scanner
	// image is what the kernel would say, within its precision.
	image uint64
}

// start runs the test binary, or a copy of it, as a program until the end of
// the test.
func start(t *testing.T, exe string) *program {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), programEnv+"=1", "OTEL_SERVICE_NAME=tracked")
	cmd.Stderr = os.Stderr
	p := &program{t: t, cmd: cmd}
	var err error
	p.stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(p.stop)
	p.out = bufio.NewScanner(out)
	require.Equal(t, "ready", p.read())
	p.image = imageOf(t, p.pid())
	return p
}

func imageOf(t *testing.T, pid uint32) uint64 {
	t.Helper()
	s, err := procinfo.ReadStat(pid)
	require.NoError(t, err)
	return s.StartTicks * 10_000_000
}

func (p *program) pid() uint32 { return uint32(p.cmd.Process.Pid) }

func (p *program) read() string {
	p.t.Helper()
	require.True(p.t, p.out.Scan(), "the program ended")
	return p.out.Text()
}

// tell sends a line and returns the answer.
func (p *program) tell(line string) string {
	p.t.Helper()
	_, err := fmt.Fprintln(p.stdin, line)
	require.NoError(p.t, err)
	return p.read()
}

// stop ends the program and waits for it.
func (p *program) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// self is the test binary.
func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	return exe
}

// copyOf makes a copy of the test binary that is another file for all that
// matters: files with one build id and one size are the same.
func copyOf(t *testing.T, padding int) string {
	t.Helper()
	b, err := os.ReadFile(self(t))
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), fmt.Sprintf("copy%d", padding))
	require.NoError(t, os.WriteFile(name, append(b, make([]byte, padding)...), 0o755))
	return name
}

// textOf returns an address in the first executable mapping of a file in a
// process, and its offset in the file.
func textOf(t *testing.T, pid uint32, file string) (addr, off uint64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		var from, to, at uint64
		var perms string
		if n, _ := fmt.Sscanf(line, "%x-%x %s %x", &from, &to, &perms, &at); n == 4 &&
			strings.Contains(perms, "x") && strings.HasSuffix(strings.TrimSpace(line), file) {
			return from + 0x123, at + 0x123
		}
	}
	t.Fatalf("%s is not mapped in\n%s", file, b)
	return 0, 0
}

// linkedAddress converts an offset in an executable to the address that it was
// linked for.
func linkedAddress(t *testing.T, file string, off uint64) uint64 {
	t.Helper()
	f, err := elf.Open(file)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && off >= p.Off && off < p.Off+p.Filesz {
			return off - p.Off + p.Vaddr
		}
	}
	t.Fatalf("%#x is in no segment of %s", off, file)
	return 0
}
