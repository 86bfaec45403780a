package procinfo

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	p := Read(uint32(os.Getpid()), "comm", false)
	assert.Equal(t, exe, p.Path)
	assert.True(t, strings.HasSuffix(p.Path, "/"+p.Name))
	assert.Equal(t, os.Args[0], p.Command)
	assert.Equal(t, p.Name, p.Service)
	assert.EqualValues(t, os.Getppid(), p.PPID)
	assert.EqualValues(t, os.Getpid(), p.NamespacedPID)
	assert.NotEmpty(t, p.Cgroups)
	assert.Equal(t, Info{Name: "kworker/0:1", Service: "kernel"}, Read(1, "kworker/0:1", true))
	assert.Equal(t, Info{Name: "gone", Service: "gone"}, Read(1<<30, "gone", false))
}

func TestReadTakesTheEnvironmentOfTheProcess(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.Env = []string{"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=a%20b,service.name=c,process.pid=1"}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := Read(uint32(cmd.Process.Pid), "", false)
	assert.Equal(t, "sleep", p.Name)
	assert.Equal(t, "sleep", p.Command)
	assert.Equal(t, "c", p.Service)
	assert.EqualValues(t, os.Getpid(), p.PPID)
	assert.Equal(t, []Attribute{{"deployment.environment.name", "a b"}}, p.Attributes)
}

func TestReadInAPIDNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make a pid namespace")
	}
	cmd := exec.Command("unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "cat /proc/self/status | grep NSpid; exec sleep 60")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	if err := cmd.Start(); err != nil {
		t.Skipf("no unshare: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	b := make([]byte, 256)
	n, err := out.Read(b)
	if err != nil {
		t.Skipf("no pid namespace: %v", err)
	}
	var outer, inner uint32
	fields := strings.Fields(string(b[:n]))
	require.Len(t, fields, 3, "%q", b[:n])
	outer, inner = number([]byte(fields[1])), number([]byte(fields[2]))
	// The shell is process 1, the cat and the grep are its children.
	require.Greater(t, inner, uint32(1))
	for pid := outer - 1; pid > outer-5; pid-- {
		if p := Read(pid, "", false); p.NamespacedPID == 1 {
			assert.NotEqual(t, pid, p.NamespacedPID)
			return
		}
	}
	t.Fatalf("no process before %d is process 1 of its namespace", outer)
}

func TestParseStatus(t *testing.T) {
	const status = "Name:\ta\nPPid:\t12\nUid:\t1\t2\t3\t4\t5\nNSpid:\t4711\t33\t7\nNSpgid:\t1\n"
	want := Status{PPID: 12, NamespacedPID: 7, UIDs: [4]uint32{1, 2, 3, 4}}
	assert.Equal(t, want, parseStatus([]byte(status)))
	for _, bad := range []string{"", "PPid", "PPid:\t-1\nNSpid:\n", "NSpid:\t99999999999", "NSpid:\t../x\n", "Uid:\nUid:\t-1 x"} {
		assert.Zero(t, parseStatus([]byte(bad)), bad)
	}
	for n := range status {
		s := parseStatus([]byte(status[:n]))
		if i := strings.Index(status, "Uid"); n < i {
			assert.Zero(t, s.UIDs, status[:n])
		}
	}
}

func TestReadStatus(t *testing.T) {
	s, err := ReadStatus(uint32(os.Getpid()))
	require.NoError(t, err)
	assert.EqualValues(t, os.Getppid(), s.PPID)
	assert.EqualValues(t, os.Geteuid(), s.UIDs[1])
	_, err = ReadStatus(1 << 30)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestParseStat(t *testing.T) {
	const stat = "12 (a) b) (c) S 1 2 3 4 5 2129984 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
	s, ok := parseStat([]byte(stat))
	require.True(t, ok)
	assert.Equal(t, Stat{StartTicks: 4711, Kthread: true}, s)
	assert.True(t, s.StartedAt(47_110_000_000))
	assert.True(t, s.StartedAt(47_119_999_999+70))
	assert.False(t, s.StartedAt(47_300_000_000))
	assert.False(t, s.StartedAt(1))
	for _, bad := range []string{
		"", "12 (a", "12 (a) S 1 2",
		"12 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x",
		"12 (a) S 1 2 3 4 5 x 7 8 9 10 11 12 13 14 15 16 17 18 19",
	} {
		_, ok := parseStat([]byte(bad))
		assert.False(t, ok, bad)
	}
	for n := range len(stat) - 6 {
		_, ok := parseStat([]byte(stat[:n]))
		assert.False(t, ok, stat[:n])
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("12 (a) b) (c) S 1 2 3 4 5 2129984 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"))
	f.Add([]byte("12 (a"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := parseStat(b)
		if ok && bytes.LastIndexByte(b, ')') < 0 {
			t.Fatalf("%q has no name", b)
		}
		if !ok {
			return
		}
		// The name does not matter, whatever it is.
		again, ok := parseStat(append([]byte("1 () "), b...))
		if !ok || again != s {
			t.Fatalf("%q is %+v, then %+v", b, s, again)
		}
	})
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte("Name:\ta\nPPid:\t12\nUid:\t1\t2\t3\t4\nNSpid:\t4711\t33\t7\n"))
	f.Add([]byte("Uid:\t1\t2\t3\t4\t5\t6"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := parseStatus(b); s.PPID != 0 && !bytes.Contains(b, []byte("PPid:")) {
			t.Fatalf("%q has parent %d", b, s.PPID)
		}
	})
}

func TestReadStat(t *testing.T) {
	s, err := ReadStat(uint32(os.Getpid()))
	require.NoError(t, err)
	assert.False(t, s.Kthread)
	assert.NotZero(t, s.StartTicks)
	assert.True(t, Running(uint32(os.Getpid()), s.StartTicks*nsPerTick))
	assert.False(t, Running(uint32(os.Getpid()), 1))
	_, err = ReadStat(1 << 30)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReadLimited(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	content := strings.Repeat("0123456789", 2000)
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	for _, limit := range []int{1, 10, 4095, 4096, 4097, 10_000, len(content) - 1, len(content), len(content) + 1, 1 << 20} {
		b := readLimited(name, limit)
		assert.True(t, string(b) == content[:min(limit, len(content))], limit)
	}
	assert.Nil(t, readLimited(name+"x", 10))
	assert.Nil(t, readLimited(t.TempDir(), 10))
}
