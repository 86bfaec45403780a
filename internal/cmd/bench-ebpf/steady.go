package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// settling is the time after its start in which the agent gets to know the host.
const settling = 15 * time.Second

// jitProgram is a program for node: half busy, in functions of its own.
const jitProgram = `function leafJIT(n) { let x = 1; for (let i = 0; i < n; i++) x = (x * 31 + i) | 0; return x; }
function callerJIT() { return leafJIT(2e6); }
setInterval(() => { const end = Date.now() + 10; while (Date.now() < end) callerJIT(); }, 20);
process.stdin.on("end", () => process.exit(0)).resume();`

// steady measures what the agent itself takes with all profiles on at 99 Hz, while
// large programs run: ClickHouse as a library of nearly 400 MB of code, node, and a
// program that keeps a processor busy.
func steady(ctx context.Context, b *bench) (err error) {
	server, err := b.startClickHouse(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	if installed("node") {
		stop, err := startNode(b.dir)
		if err != nil {
			return err
		}
		defer stop()
	} else {
		b.table.info("node", "not installed: measured without", "")
	}
	path, err := b.build("burn.c", fixtures.NoFramePointers...)
	if err != nil {
		return err
	}
	p, err := fixtures.Start(path, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _, _ = p.Stop() }()
	bare, err := bareMemory(ctx, b)
	if err != nil {
		return err
	}
	return b.measureAgent(ctx, server, p.PID(), bare)
}

// measureAgent starts the agent and follows it: its first seconds, and then a while.
func (b *bench) measureAgent(ctx context.Context, server *chserver.Server, burn int, bare memory) error {
	all := []string{profile.KindCPU, profile.KindOffCPU, profile.KindLock, profile.KindSyscall}
	a, err := b.launch(agentConfig{profiles: all, frequency: 99, interval: 10 * time.Second, overhead: 0.01})
	if err != nil {
		return err
	}
	first, steady, mem, err := func() (first, steady time.Duration, mem memory, err error) {
		queryCtx, cancel := context.WithCancel(ctx)
		defer cancel()
		go query(queryCtx, server) // so that samples hit the large library
		if err := benchkit.Sleep(ctx, settling); err != nil {
			return 0, 0, mem, err
		}
		if first, err = benchkit.CPU(a.collector.PID()); err != nil {
			return 0, 0, mem, err
		}
		if err := a.waitActive(ctx, all); err != nil {
			return 0, 0, mem, err
		}
		if err := benchkit.Sleep(ctx, b.duration); err != nil {
			return 0, 0, mem, err
		}
		cpu, err := benchkit.CPU(a.collector.PID())
		if err != nil {
			return 0, 0, mem, err
		}
		mem, err = readMemory(a.collector.PID())
		return first, cpu - first, mem, err
	}()
	if err := errors.Join(err, a.stop()); err != nil {
		return err
	}
	const mb = 1 << 20
	share := 100 * steady.Seconds() / b.duration.Seconds()
	b.table.add("agent's own CPU time in its first 15 s, all profiles, ClickHouse and node running", "≤ 1.5 s",
		fmt.Sprintf("%.2f s", first.Seconds()), "", first <= 1500*time.Millisecond)
	b.table.add("agent's own CPU time, all profiles at 99 Hz", "≤ 0.3 % of a core",
		fmt.Sprintf("%.2f %%", share), "", share <= 0.3)
	part := (int64(mem.resident) - int64(bare.resident)) / mb
	b.table.add("memory of the receiver: resident, more than a collector without it", "≤ 120 MB",
		fmt.Sprintf("%d MB (all %d MB, of which anonymous %d MB)", part, mem.resident/mb, mem.anonymous/mb), "", part <= 120)
	b.table.add("memory of BPF maps", "≤ 64 MB", fmt.Sprintf("%.1f MB", float64(mem.maps)/mb), "", mem.maps <= 64*mb)
	for _, check := range []struct {
		what string
		pid  int
	}{{"burn.c", burn}, {"ClickHouse", server.PID()}} {
		if len(a.of(profile.KindCPU, check.pid)) == 0 {
			return fmt.Errorf("%s was busy, but the CPU profile has no samples of it", check.what)
		}
	}
	return nil
}

// query keeps ClickHouse a little busy until ctx ends.
func query(ctx context.Context, server *chserver.Server) {
	for ctx.Err() == nil {
		_ = benchkit.Query(ctx, server.Endpoint(), "SELECT sum(cityHash64(number)) FROM numbers(30000000)", nil)
		_ = benchkit.Sleep(ctx, 500*time.Millisecond)
	}
}

// bareMemory returns what the collector holds without the receiver.
func bareMemory(ctx context.Context, b *bench) (m memory, err error) {
	a, err := b.start(ctx, agentConfig{})
	if err != nil {
		return m, err
	}
	err = benchkit.Sleep(ctx, 2*time.Second)
	if err == nil {
		m, err = readMemory(a.collector.PID())
	}
	return m, errors.Join(err, a.stop())
}

func (b *bench) startClickHouse(ctx context.Context) (*chserver.Server, error) {
	launcher, err := filepath.Abs(filepath.Join(b.dist, "clickhouse-embedded"))
	if err != nil {
		return nil, err
	}
	server, err := chserver.New(chserver.Options{
		DataDir: filepath.Join(b.dir, "clickhouse"), Launcher: launcher, Library: filepath.Join(filepath.Dir(launcher), "lib", "libchdb.so"),
	})
	if err != nil {
		return nil, err
	}
	if err := server.Start(ctx); err != nil {
		return nil, err
	}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := server.ClickHouse(ready); err != nil {
		return nil, errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
	}
	return server, nil
}

func startNode(dir string) (stop func(), err error) {
	script := filepath.Join(dir, "busy.js")
	if err := os.WriteFile(script, []byte(jitProgram), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("node", "--perf-basic-prof", "--interpreted-frames-native-stack", script)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	return func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		_ = os.Remove(fmt.Sprintf("/tmp/perf-%d.map", cmd.Process.Pid))
	}, nil
}
