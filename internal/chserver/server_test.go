package chserver_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// patience bounds the waits of these tests; none of them measures time.
const patience = 60 * time.Second

// table is where the tests keep their data.
const table = "kept.t"

func fill(t *testing.T, server *chserver.Server) {
	t.Helper()
	clickhousetest.Exec(t, server, "CREATE DATABASE kept")
	clickhousetest.Exec(t, server, "CREATE TABLE "+table+" (n Int64) ENGINE = MergeTree ORDER BY n")
	clickhousetest.Exec(t, server, "INSERT INTO "+table+" SELECT number FROM numbers(1000)")
}

func requireFilled(t *testing.T, server *chserver.Server) {
	t.Helper()
	require.Equal(t, "1000\t499500", clickhousetest.Exec(t, server, "SELECT count(), sum(n) FROM "+table))
}

func TestDataSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	first := clickhousetest.New(t, dir, nil)
	fill(t, first)
	pid := first.PID()
	clickhousetest.Stop(t, first)
	assert.Equal(t, chserver.Stopped, first.Status().State)
	assert.Zero(t, first.PID())
	assert.NoDirExists(t, "/proc/"+strconv.Itoa(pid))

	requireFilled(t, clickhousetest.New(t, dir, nil))
}

func TestKilledServerComesBack(t *testing.T) {
	var mu sync.Mutex
	var states []chserver.State
	server := clickhousetest.New(t, t.TempDir(), func(o *chserver.Options) {
		o.OnStatus = func(s chserver.Status) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, s.State)
		}
	})
	fill(t, server)
	endpoint, pid := server.Endpoint(), server.PID()

	clickhousetest.Kill(t, server)
	clickhousetest.WaitReady(t, server)

	assert.Equal(t, endpoint, server.Endpoint())
	assert.NotEqual(t, pid, server.PID())
	assert.Equal(t, 1, server.Status().Restarts)
	requireFilled(t, server)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []chserver.State{
		chserver.Starting, chserver.Ready, chserver.Down, chserver.Starting, chserver.Ready,
	}, states)
}

func TestServerThatStopsListeningIsReplaced(t *testing.T) {
	for _, protocol := range []string{"HTTP", "TCP"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			server := clickhousetest.New(t, t.TempDir(), nil)
			fill(t, server)
			pid := server.PID()
			endpoint := server.Endpoint()
			_, err := clickhousetest.Query(endpoint, endpoint.Username, endpoint.Password, "SYSTEM STOP LISTEN "+protocol)
			if err != nil {
				require.ErrorContains(t, err, "EOF", "the answer may be cut off")
			}
			waitFor(t, func() bool { return server.PID() != pid })
			clickhousetest.WaitReady(t, server)
			requireFilled(t, server)
		})
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	clickhousetest.New(t, dir, nil)
	options := clickhousetest.Options(t)
	options.DataDir = dir
	other, err := chserver.New(options)
	require.NoError(t, err)

	err = other.Start(t.Context())

	var locked *chserver.LockedError
	require.ErrorAs(t, err, &locked)
	assert.Equal(t, chserver.LockedError{Dir: dir, PID: os.Getpid()}, *locked)
	assert.EqualError(t, err, "lock data directory: data directory "+dir+" is in use by process "+strconv.Itoa(os.Getpid()))
	require.NoError(t, other.Stop(t.Context()), "stopping what did not start is fine")
}

func TestFixedPorts(t *testing.T) {
	free := clickhousetest.New(t, t.TempDir(), nil)
	tcp, http := port(t, free.Endpoint().Addr), port(t, free.Endpoint().HTTPAddr)
	fixed := func(o *chserver.Options) { o.TCPPort, o.HTTPPort = tcp, http }

	options := clickhousetest.Options(t)
	options.DataDir = t.TempDir()
	fixed(&options)
	busy, err := chserver.New(options)
	require.NoError(t, err)
	require.ErrorContains(t, busy.Start(t.Context()), "reserve port "+strconv.Itoa(tcp))

	endpoint := free.Endpoint()
	clickhousetest.Stop(t, free)
	server := clickhousetest.New(t, options.DataDir, fixed)
	assert.Equal(t, endpoint.Addr, server.Endpoint().Addr)
	assert.Equal(t, endpoint.HTTPAddr, server.Endpoint().HTTPAddr)
}

func TestMemoryLimit(t *testing.T) {
	const limit = 512 << 20
	server := clickhousetest.New(t, t.TempDir(), func(o *chserver.Options) {
		o.MemoryLimit = limit
		o.Settings = map[string]string{"mark_cache_size": "1234567"}
	})
	assert.Equal(t, strconv.Itoa(limit), serverSetting(t, server, "max_server_memory_usage"))
	assert.Equal(t, "1234567", serverSetting(t, server, "mark_cache_size"), "given by Settings")
	assert.Equal(t, "0", serverSetting(t, server, "uncompressed_cache_size"), "default of the package")

	endpoint := server.Endpoint()
	_, err := clickhousetest.Query(endpoint, endpoint.Username, endpoint.Password,
		"SELECT length(groupArray(number)) FROM numbers(1000000000)")
	require.ErrorContains(t, err, "MEMORY_LIMIT_EXCEEDED")
	assert.Equal(t, "1", clickhousetest.Exec(t, server, "SELECT 1"), "it lives on")
}

func serverSetting(t *testing.T, server *chserver.Server, name string) string {
	t.Helper()
	return clickhousetest.Exec(t, server, "SELECT value FROM system.server_settings WHERE name = '"+name+"'")
}

// Mutations need free entries in the background pool, which is small here.
func TestMutationsRun(t *testing.T) {
	server := clickhousetest.New(t, t.TempDir(), nil)
	fill(t, server)
	clickhousetest.Exec(t, server, "ALTER TABLE "+table+" DELETE WHERE n >= 10 SETTINGS mutations_sync = 2")
	assert.Equal(t, "10", clickhousetest.Exec(t, server, "SELECT count() FROM "+table))
	clickhousetest.Exec(t, server, "OPTIMIZE TABLE "+table+" FINAL")
	assert.Equal(t, "1", clickhousetest.Exec(t, server, "SELECT count() FROM system.parts WHERE active AND database = 'kept'"))
}

func TestLogGoesToFileAndWarningsToLogger(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	dir := t.TempDir()
	server := clickhousetest.New(t, dir, func(o *chserver.Options) { o.Logger = zap.New(core) })
	endpoint := server.Endpoint()
	_, err := clickhousetest.Query(endpoint, endpoint.Username, endpoint.Password, "SELECT no_such_column_here")
	require.Error(t, err)

	waitFor(t, func() bool {
		return logs.Filter(func(e observer.LoggedEntry) bool {
			message, _ := e.ContextMap()["message"].(string)
			return e.Level == zap.ErrorLevel && strings.Contains(message, "no_such_column_here") && !strings.Contains(message, "Stack trace")
		}).Len() > 0
	})
	log, err := os.ReadFile(filepath.Join(dir, "server.log"))
	require.NoError(t, err)
	assert.True(t, strings.Contains(string(log), "no_such_column_here"))
	assert.False(t, strings.Contains(string(log), "<Debug>"), "the level is information")
	assert.False(t, strings.Contains(string(log), endpoint.Password))
}

// brokenServer has a launcher that fails at once.
func brokenServer(t *testing.T) *chserver.Server {
	t.Helper()
	options := clickhousetest.Options(t)
	options.DataDir = t.TempDir()
	options.Launcher = filepath.Join(t.TempDir(), "launcher")
	require.NoError(t, os.WriteFile(options.Launcher, []byte("#!/bin/sh\necho cannot today >&2\nexit 7\n"), 0o700))
	server, err := chserver.New(options)
	require.NoError(t, err)
	require.NoError(t, server.Start(t.Context()))
	t.Cleanup(func() { clickhousetest.Stop(t, server) })
	return server
}

func TestCrashLoop(t *testing.T) {
	server := brokenServer(t)
	waitFor(t, func() bool { return server.Status().Restarts >= 3 })

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := server.ClickHouse(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "exit status 7: cannot today", "says why")
}

func TestBrokenLibrary(t *testing.T) {
	options := clickhousetest.Options(t)
	options.DataDir = t.TempDir()
	options.Library = filepath.Join(t.TempDir(), "libchdb.so")
	require.NoError(t, os.WriteFile(options.Library, []byte("not a library"), 0o600))
	server, err := chserver.New(options)
	require.NoError(t, err)
	require.NoError(t, server.Start(t.Context()))
	t.Cleanup(func() { clickhousetest.Stop(t, server) })
	waitFor(t, func() bool { return server.Status().Err != nil })
	assert.ErrorContains(t, server.Status().Err, "load library "+options.Library)
}

func TestMissingFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for name, test := range map[string]struct {
		change func(*chserver.Options)
		want   string
	}{
		"launcher": {func(o *chserver.Options) { o.Launcher = missing }, "find the ClickHouse launcher (`make build` provides it)"},
		"library":  {func(o *chserver.Options) { o.Library = missing }, "find the ClickHouse library (`make deps` provides it)"},
	} {
		t.Run(name, func(t *testing.T) {
			options := clickhousetest.Options(t)
			options.DataDir = filepath.Join(t.TempDir(), "data")
			test.change(&options)
			server, err := chserver.New(options)
			require.NoError(t, err)
			err = server.Start(t.Context())
			require.ErrorIs(t, err, os.ErrNotExist)
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, missing)
			assert.NoDirExists(t, options.DataDir, "nothing was touched")
		})
	}
}

func TestStopInAHurry(t *testing.T) {
	dir := t.TempDir()
	server := clickhousetest.New(t, dir, nil)
	fill(t, server)
	pid := server.PID()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no time"))
	require.NoError(t, server.Stop(ctx))
	assert.NoDirExists(t, "/proc/"+strconv.Itoa(pid))
	requireFilled(t, clickhousetest.New(t, dir, nil))
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 20*time.Millisecond)
}
