package ebpfprofilingreceiver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
)

// busyProgram is the workload of ebpftest as a program.
type busyProgram struct{ *ebpftest.Busy }

func (b busyProgram) Stop() fixtures.Report {
	return fixtures.Report{CPUSeconds: b.Busy.Stop().CPUSeconds}
}

// testGo is a Go program with threads and with all that its build left in it.
func testGo(t *testing.T, s *session) {
	busy := ebpftest.StartBusy(t, 2)
	known := func(s *flatSample) bool { return s.has(ebpftest.BusyCaller) && s.has("runtime.goexit") }
	seen := s.observe(t, busyProgram{busy}, known, time.Second)
	checkAmount(t, s.receiver.cfg.SamplingFrequency, seen.report.CPUSeconds, seen)
	shares := map[string]float64{}
	for _, want := range ebpftest.BusyShares {
		shares[want.Function] = want.Part
	}
	checkShares(t, shares, seen.settled)
	half := ebpftest.BusyShares[0].Function
	with, n := 0.0, 0.0
	for _, x := range seen.settled {
		user := x.user()
		for i, f := range user {
			if f.name == half && i+2 < len(user) {
				n += float64(x.sum)
				if user[i+1].name == ebpftest.BusyCaller && user[len(user)-1].name == "runtime.goexit" {
					with += float64(x.sum)
				}
				assert.Equal(t, profile.FrameGo, f.kind)
				assert.NotEmpty(t, f.buildID)
				assert.True(t, strings.HasSuffix(f.file, "/workload.go"), f.file)
				break
			}
		}
	}
	require.Positive(t, n)
	assert.GreaterOrEqual(t, with/n, 0.99, "with caller and outermost frame")
	checkBatches(t, s.sink.AllProfiles(), busy.PID(), s.receiver.cfg)
}

// testStrippedGo names functions of a program without symbol tables, those that
// were inlined, too, and keeps the callers of a leaf function without a frame.
func testStrippedGo(t *testing.T, s *session, flags ...string) {
	p := ebpftest.Start(t, buildGo(t, flags...))
	chain := []string{"main.outer", "main.main", "runtime.main", "runtime.goexit"}
	seen := s.observe(t, p, whole(append([]string{"main.frameless"}, chain...)...), 500*time.Millisecond)
	checkShares(t, map[string]float64{"main.frameless": 0.5, "main.outer": 0.5}, seen.settled)
	// The runtime has work of its own, on stacks of its own.
	own := slices.DeleteFunc(slices.Clone(seen.settled), func(s flatSample) bool {
		return !s.has("main.frameless") && !s.has("main.inlined")
	})
	_, n := sumOf(own, func(*flatSample) bool { return true })
	_, all := sumOf(seen.settled, func(*flatSample) bool { return true })
	assert.Greater(t, n/all, 0.9)
	checkChains(t, 0.99, own, append([]string{"main.frameless|main.inlined"}, chain...))
	for _, x := range seen.settled {
		for i, f := range x.user() {
			if f.name != "main.inlined" {
				continue
			}
			assert.True(t, f.inlined)
			assert.True(t, strings.HasSuffix(f.file, "gofixture/main.go"), f.file)
			assert.Greater(t, f.line, int64(20))
			caller := x.user()[i+1]
			assert.Equal(t, "main.outer", caller.name)
			assert.Equal(t, f.address, caller.address)
			assert.Greater(t, caller.line, f.line, "the line of the call")
		}
	}
}

// testPython reaches the outermost frame of an interpreter.
func testPython(t *testing.T, s *session) {
	exe, err := exec.Command(find(t, "python3"), "-c", "import sys; print(sys.executable)").Output()
	require.NoError(t, err)
	path, err := filepath.EvalSymlinks(strings.TrimSpace(string(exe)))
	require.NoError(t, err)
	p := startCommand(t, path, "-c", "x = 1\nwhile True:\n  x = (x * 5 + sum(range(50))) % 1000003")
	right := func(s *flatSample) bool {
		return strings.HasPrefix(folded(s.user()), "_start;") && s.has("Py_RunMain") && s.has("_PyEval_EvalFrameDefault")
	}
	seen := s.observe(t, p, right, 500*time.Millisecond)
	checkAmount(t, s.receiver.cfg.SamplingFrequency, seen.report.CPUSeconds, seen)
	checkMost(t, 0.99, seen.settled, right)
}

const nodeSource = `
function jitLeaf(x) { for (let i = 0; i < 20000; i++) x = (x * 31 + i) | 0; return x }
function jitCaller(x) { return jitLeaf(x) ^ 1 }
let x = 1
for (;;) x = jitCaller(x)
`

// testNode names functions that a compiler made at run time.
func testNode(t *testing.T, s *session) {
	script := filepath.Join(t.TempDir(), "busy.js")
	require.NoError(t, os.WriteFile(script, []byte(nodeSource), 0o600))
	p := startCommand(t, find(t, "node"), "--perf-basic-prof", "--interpreted-frames-native-stack", "--no-turbo-inlining", script)
	t.Cleanup(func() { _ = os.Remove(fmt.Sprintf("/tmp/perf-%d.map", p.PID())) })
	inCode := func(s *flatSample) bool {
		user := s.user()
		return len(user) > 0 && user[0].kind == symbol.KindV8 && user[0].name != "" &&
			user[len(user)-1].name == "_start" && s.has("node::Start")
	}
	// Perf maps are read anew once a second, and functions compiled anew.
	seen := s.observe(t, p, func(*flatSample) bool {
		all := s.sink.AllProfiles()
		right, n := sumOf(flatten(all[max(0, len(all)-4):], ofPID(p.PID())), inCode)
		return n > 100 && right/n >= 0.95
	}, 100*time.Millisecond)
	checkAmount(t, s.receiver.cfg.SamplingFrequency, seen.report.CPUSeconds, seen)
	for _, function := range []string{"jitLeaf", "jitCaller"} {
		n, _ := sumOf(seen.all, in(function))
		assert.Positive(t, n, function)
	}
}
