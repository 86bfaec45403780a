package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver/xreceiver"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// share returns the part of a profile's first value that is in stacks with a function.
func share(p *pprof.Profile, function string) float64 {
	var in, all float64
	for _, s := range p.Sample {
		v := float64(s.Value[0])
		all += v
	next:
		for _, l := range s.Location {
			for _, line := range l.Line {
				if line.Function.Name == function {
					in += v
					break next
				}
			}
		}
	}
	return in / max(all, 1)
}

// longer calls try with ever more time until it says that this was enough: how soon
// a profile begins, and knows what it samples, depends on who else wants a processor.
func longer(t *testing.T, try func(times int) (enough bool)) {
	t.Helper()
	const most = 64
	for times := 1; !try(times); times *= 2 {
		require.Less(t, times, most, "%d times as long is not enough", times)
	}
}

// A process is profiled until the interrupt; what there is by then is written.
func TestRecordProcess(t *testing.T) {
	ebpftest.Require(t)
	busy := ebpftest.StartBusy(t, 2)
	file := filepath.Join(t.TempDir(), "cpu.pb.gz")
	longer(t, func(times int) bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(times)*3*time.Second)
		defer cancel()
		r := ctlContext(ctx, nil, "record", "--pid", fmt.Sprint(busy.PID()), "-d", "1h", "-F", "199", "-o", file)
		if strings.Contains(r.err, "nothing was recorded") {
			return false
		}
		require.Zero(t, r.code, r.err)
		assert.Contains(t, r.err, "wrote "+file)
		f, err := os.Open(file)
		require.NoError(t, err)
		defer f.Close()
		p, err := pprof.Parse(f)
		require.NoError(t, err)
		var n int64
		for _, s := range p.Sample {
			n += s.Value[0]
		}
		if n < 200 || share(p, ebpftest.BusyCaller) <= 0.9 { // samples of before it was known
			return false
		}
		for _, want := range ebpftest.BusyShares { // 200 samples: more than five standard deviations
			assert.InDelta(t, want.Part, share(p, want.Function), 0.2, want.Function)
		}
		return true
	})
}

// A command is profiled with all it starts, in every format.
func TestRecordCommand(t *testing.T) {
	ebpftest.Require(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "x")
	const busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; (sleep 0.1); "
	for _, tt := range []struct {
		kind, format, script string
		check                func(t *testing.T, text []byte) (enough bool)
	}{
		{"cpu", "collapsed", busy, func(_ *testing.T, text []byte) bool { return strings.Contains(string(text), ";") }},
		{"off_cpu", "svg", busy, func(t *testing.T, text []byte) bool {
			d := xml.NewDecoder(strings.NewReader(string(text)))
			for {
				_, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
			}
			assert.Contains(t, string(text), "off_cpu flame graph of sh -c")
			return strings.Contains(string(text), "nanosleep")
		}},
		// Calls of a thread that was met before it was known to be of the command do not
		// count for a second.
		{"syscall", "speedscope", "for j in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; done; ", func(t *testing.T, text []byte) bool {
			require.True(t, json.Valid(text))
			return strings.Contains(string(text), `"wait4"`)
		}},
	} {
		longer(t, func(times int) bool {
			script := strings.Repeat(tt.script, times) + "echo 300000; exit 3"
			r := ctl(t, nil, "record", "-p", tt.kind, "--format", tt.format, "-o", file, "--", "sh", "-c", script)
			assert.Equal(t, "300000\n", r.out, "the output of the command")
			if strings.Contains(r.err, "nothing was recorded") {
				return false
			}
			require.Equal(t, 3, r.code, "that of the command: %s", r.err)
			assert.Contains(t, r.err, "the command ended with exit status 3")
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			return tt.check(t, text)
		})
	}
	left, err := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/unified/aperturectl-%d", os.Getpid()))
	require.NoError(t, err)
	assert.Empty(t, left, "the cgroup is removed")
}

// The statuses of commands are as shells have them.
func TestStatusOf(t *testing.T) {
	for script, want := range map[string]commandStatus{"exit 3": 3, "kill -TERM $$": 143, "exit 255": 255} {
		assert.Equal(t, want, statusOf(exec.Command("sh", "-c", script).Run()), script)
	}
	assert.EqualValues(t, exitFailure, statusOf(io.ErrShortWrite))
}

// lateReceiver takes too long to end: its last samples come when it is too late.
type lateReceiver struct {
	xreceiver.Profiles
	err error
}

func (r *lateReceiver) Shutdown(ctx context.Context) error {
	return firstError(r.Profiles.Shutdown(ctx), r.err)
}

// A profile whose end fails is written without what is missing, and says so.
func TestRecordLate(t *testing.T) {
	ebpftest.Require(t)
	busy := ebpftest.StartBusy(t, 1)
	for want, cause := range map[string]error{
		"warning: the profile lacks its last samples: naming their functions took longer than 30s\n": fmt.Errorf("stop profiles: %w", context.DeadlineExceeded),
		"warning: the profile lacks its last samples: no\n":                                          errors.New("no"),
	} {
		var stderr bytes.Buffer
		a := &app{out: io.Discard, err: &stderr}
		f := recordFlags{kind: "cpu", format: "collapsed", file: filepath.Join(t.TempDir(), "x.txt"), duration: time.Second}
		session, err := a.startRecording(f.kind, 99, recordTargets{pids: []int{busy.PID()}})
		require.NoError(t, err)
		session.receiver = &lateReceiver{session.receiver, cause}
		// A batch of a second and more, and what the names need.
		ebpftest.Await(t, "samples", func() bool { return session.events() > 200 })
		require.NoError(t, a.takeRecording(t.Context(), &f, session, nil), stderr.String())
		text, err := os.ReadFile(f.file)
		require.NoError(t, err)
		assert.Contains(t, string(text), ebpftest.BusyCaller)
		assert.Contains(t, stderr.String(), want)
		assert.Contains(t, stderr.String(), "wrote "+f.file)

		had := session.events()
		require.NoError(t, session.consume(t.Context(), oneSample()))
		assert.Equal(t, had, session.events(), "what was summed up stays as it is")
	}
}

// oneSample is a profile of one sample.
func oneSample() pprofile.Profiles {
	b := profile.NewBuilder()
	scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	types := profile.Types(profile.KindCPU)
	p := b.AddProfile(scope, profile.KindCPU, types[0], profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, 1)
	p.SetTime(1)
	s := p.Samples().AppendEmpty()
	s.SetStackIndex(b.Stack(nil))
	s.Values().Append(1)
	return b.Profiles()
}

func TestRecordErrors(t *testing.T) {
	ebpftest.Require(t)
	file := filepath.Join(t.TempDir(), "x.svg")
	ebpftest.StartBusy(t, 1) // a host that is idle has no samples
	for want, args := range map[string][]string{
		"cannot start /nonexistent/program: no such file or directory":                 {"-o", file, "--", "/nonexistent/program"},
		"cannot find no-such-program: check the name of the command":                   {"-o", file, "--", "no-such-program"},
		"nothing was recorded: nothing of the cpu profile happened; record for longer": {"-o", file, "-d", "200ms", "--pid", "4194304"},
		"cannot write /nonexistent/x.svg: no such file or directory":                   {"-o", "/nonexistent/x.svg", "-d", "2s"},
	} {
		r := ctl(t, nil, append([]string{"record"}, args...)...)
		assert.Equal(t, exitFailure, r.code, args)
		assert.Equal(t, "aperturectl: "+want+"\n", r.err)
		assert.NoFileExists(t, file)
	}
}
