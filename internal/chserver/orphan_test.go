package chserver_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// A parent that is killed at any moment leaves no server behind, and its data
// directory can be used again at once.
func TestKilledParentLeavesNoServer(t *testing.T) {
	for _, after := range []time.Duration{
		0, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, time.Second,
	} {
		t.Run(after.String(), func(t *testing.T) {
			dir := t.TempDir()
			options := clickhousetest.Options(t)
			cmd := helperCommand(t, "parent", dir, options.Launcher, options.Library)
			cmd.Stderr = os.Stderr
			output, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			var line [1]byte
			_, err = output.Read(line[:]) // it is about to start its server
			require.NoError(t, err)
			time.Sleep(after)
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())

			server := clickhousetest.New(t, dir, nil)
			assert.Equal(t, []int{server.PID()}, launchers(t, dir), "only ours is there")
			clickhousetest.Stop(t, server)
			assert.Empty(t, launchers(t, dir))
		})
	}
}

// helperParent runs a server until it is killed.
func helperParent() error {
	server, err := chserver.New(chserver.Options{DataDir: os.Args[1], Launcher: os.Args[2], Library: os.Args[3]})
	if err != nil {
		return err
	}
	fmt.Println("starting")
	if err := server.Start(context.Background()); err != nil {
		return err
	}
	select {}
}

// A server that outlives its parent in spite of everything keeps the directory
// locked, and the next collector says who left it.
func TestLeftoverServerIsNamed(t *testing.T) {
	dir := t.TempDir()
	options := clickhousetest.Options(t)
	options.DataDir = dir
	pidFile := filepath.Join(t.TempDir(), "pid")
	launcher := filepath.Join(t.TempDir(), "launcher")
	// The grandchild has the lock, but neither the pipe nor the death signal.
	script := "#!/bin/sh\nsleep 600 </dev/null >/dev/null 2>&1 &\necho $! >" + pidFile + ".new\nmv " + pidFile + ".new " + pidFile + "\nwait\n"
	require.NoError(t, os.WriteFile(launcher, []byte(script), 0o700))
	cmd := helperCommand(t, "parent", dir, launcher, options.Library)
	require.NoError(t, cmd.Start())
	var leftover int
	waitFor(t, func() bool {
		text, err := os.ReadFile(pidFile)
		if err != nil {
			return false
		}
		leftover, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	t.Cleanup(func() { _ = syscall.Kill(leftover, syscall.SIGKILL) }) // if the test fails before it does so
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	server, err := chserver.New(options)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = server.Start(ctx)
	var locked *chserver.LockedError
	require.ErrorAs(t, err, &locked)
	assert.Equal(t, chserver.LockedError{Dir: dir, PID: cmd.Process.Pid, Gone: true}, *locked)
	assert.ErrorContains(t, err, "by a server that process "+strconv.Itoa(cmd.Process.Pid)+" left behind")

	// One that only takes its time is waited for.
	started := make(chan error, 1)
	go func() { started <- server.Start(t.Context()) }()
	require.NoError(t, syscall.Kill(leftover, syscall.SIGKILL))
	require.NoError(t, <-started)
	clickhousetest.WaitReady(t, server)
	clickhousetest.Stop(t, server)
}

// launchers returns the processes that serve dir, in any state but zombie.
func launchers(t *testing.T, dir string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	var pids []int
	for _, path := range paths {
		cmdline, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(cmdline), "-path\x00"+dir+"/") {
			continue // ended, or another one; a zombie has no command line
		}
		var pid int
		_, err = fmt.Sscanf(path, "/proc/%d/cmdline", &pid)
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	return pids
}
