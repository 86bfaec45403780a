package clickhousetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// timeout bounds everything that is asked of the server.
const timeout = 60 * time.Second

// shared is the server of the test binary.
var shared struct {
	mu     sync.Mutex
	server *chserver.Server
	dir    string
	err    error
}

// Main runs the tests of a package, stops the server if one of them started it,
// and fails the package if that fails or a goroutine is left. Call it as the last
// thing in TestMain.
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(runner{m}, options...)
}

// runner stops the server before goleak looks.
type runner struct{ m *testing.M }

func (r runner) Run() int {
	code := r.m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop ClickHouse of the tests:", err)
		code = max(code, 1)
	}
	return code
}

// Start returns the server of the test binary, ready to answer. It belongs to all
// tests of the package: a test that needs one of its own calls New.
func Start(tb testing.TB) *chserver.Server {
	tb.Helper()
	options := Options(tb)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.err = startShared(options)
	}
	if shared.err != nil {
		tb.Fatalf("start ClickHouse: %v", shared.err)
	}
	WaitReady(tb, shared.server)
	return shared.server
}

func startShared(options chserver.Options) error {
	dir, err := os.MkdirTemp("", "clickhousetest-")
	if err != nil {
		return err
	}
	options.DataDir = dir
	server, err := chserver.New(options)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := server.Start(ctx); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	shared.server, shared.dir = server, dir
	return nil
}

func stop() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := shared.server.Stop(ctx)
	shared.server = nil
	return errors.Join(err, os.RemoveAll(shared.dir))
}

// New starts a server for one test, with its data in dir, and stops it at the end
// of the test. change, if not nil, may change its options.
func New(tb testing.TB, dir string, change func(*chserver.Options)) *chserver.Server {
	tb.Helper()
	options := Options(tb)
	options.DataDir = dir
	if change != nil {
		change(&options)
	}
	server, err := chserver.New(options)
	if err != nil {
		tb.Fatalf("configure ClickHouse: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := server.Start(ctx); err != nil {
		tb.Fatalf("start ClickHouse: %v", err)
	}
	tb.Cleanup(func() { Stop(tb, server) })
	WaitReady(tb, server)
	return server
}

// Stop stops a server that New started; again is no error.
func Stop(tb testing.TB, server *chserver.Server) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		tb.Errorf("stop ClickHouse: %v", err)
	}
}

// Options returns what a server of a test needs but for its data directory. It
// skips the test under -short and fails it where the launcher or library is
// missing.
func Options(tb testing.TB) chserver.Options {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs ClickHouse: not run with -short")
	}
	return chserver.Options{
		Launcher:    find(tb, "APERTURE_CLICKHOUSE_EMBEDDED", "dist/clickhouse-embedded"),
		Library:     find(tb, "APERTURE_CHDB_LIBRARY", "dist/lib/libchdb.so"),
		MemoryLimit: 4 << 30,
	}
}

func find(tb testing.TB, env, path string) string {
	tb.Helper()
	if value := os.Getenv(env); value != "" {
		path = value
	} else {
		path = filepath.Join(moduleRoot(tb), path)
	}
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("ClickHouse for the tests is missing, run `make deps build` (or set %s): %v", env, err)
	}
	return path
}

// moduleRoot is the folder of go.mod above the working directory, which in a test
// is the folder of its package.
func moduleRoot(tb testing.TB) string {
	tb.Helper()
	start, err := os.Getwd()
	if err != nil {
		tb.Fatalf("find module root: %v", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatalf("find module root: no go.mod in or above %s", start)
		}
	}
}

// Kill kills the child of server as kill -9 does, and returns when it is gone.
// The server starts another by itself; WaitReady waits for it.
func Kill(tb testing.TB, server *chserver.Server) {
	tb.Helper()
	pid := server.PID()
	if pid == 0 {
		tb.Fatal("kill ClickHouse: it is not running")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		tb.Fatalf("kill ClickHouse: %v", err)
	}
	waitFor(tb, "ClickHouse to be gone", func() bool { return server.PID() != pid })
}

// WaitReady waits until server answers.
func WaitReady(tb testing.TB, server *chserver.Server) {
	tb.Helper()
	waitFor(tb, "ClickHouse to be ready", func() bool { return server.Status().State == chserver.Ready })
}

func waitFor(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(timeout); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("waited %s for %s", timeout, what)
		}
	}
}
