package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	exitFailed = 1
	exitUsage  = 2
	exitGrace  = 3
)

// The library is entered on the main thread: its size of stack is the one the
// library was made for, and PR_SET_PDEATHSIG belongs to this thread.
func init() { runtime.LockOSThread() }

func main() {
	opts, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "clickhouse-embedded:", err)
		os.Exit(exitUsage)
	}
	if err := run(opts); err != nil {
		fail(err)
	}
}

func run(opts options) error {
	unix.Umask(0o077) // data and log, in which queries are, are the owner's alone
	// Until here, and while the library is loaded, the parent's choice of death
	// signal (SIGKILL) holds. From here on the watcher sees the parent go, and
	// can let the server end by itself.
	parentGone, err := watchParent(int(os.Stdin.Fd()), opts.grace)
	if err != nil {
		return err
	}
	password, err := os.ReadFile(opts.passwordFile)
	if err != nil {
		return fmt.Errorf("read password: %w", err)
	}
	l := login{user: opts.user, password: strings.TrimSpace(string(password))}
	b, err := newBackend(l)
	if err != nil {
		return err
	}
	lib, err := openLibrary(opts.library)
	if err != nil {
		return err
	}
	go func() {
		if err := serveGate(opts, newGate(b, l), parentGone); err != nil {
			fail(err)
		}
	}()
	if err := lib.serve(serverArgs(opts, b)); err != nil {
		return err
	}
	select {
	case <-parentGone:
		return nil
	default:
		// The library has printed the reason itself.
		return errors.New("run server: it ended while its parent still holds the pipe")
	}
}

// serveGate opens the public ports once the server answers, and returns when a
// listener fails, or nil when the parent is gone.
func serveGate(opts options, g *gate, parentGone <-chan struct{}) error {
	g.backend.waitReady()
	native, err := listen(net.JoinHostPort(opts.host, strconv.Itoa(opts.tcpPort)))
	if err != nil {
		return err
	}
	web, err := listen(net.JoinHostPort(opts.host, strconv.Itoa(opts.httpPort)))
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	go func() { failed <- g.serveNative(native) }()
	go func() { failed <- g.serveHTTP(web) }()
	go func() { failed <- g.backend.watch() }()
	select {
	case err := <-failed:
		return err
	case <-parentGone:
		g.close()
		return nil
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "clickhouse-embedded:", err)
	os.Exit(exitFailed)
}

// options is the command line.
type options struct {
	library            string
	user, passwordFile string
	config             string
	path               string
	host               string
	tcpPort            int
	httpPort           int
	logLevel           string
	grace              time.Duration
}

func parseOptions(args []string, output io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("clickhouse-embedded", flag.ContinueOnError)
	fs.SetOutput(output)
	fs.StringVar(&o.library, "library", "", "path of libchdb.so")
	fs.StringVar(&o.config, "config", "", "path of the ClickHouse configuration file")
	fs.StringVar(&o.path, "path", "", "data directory")
	fs.StringVar(&o.user, "user", "", "the user that may log in")
	fs.StringVar(&o.passwordFile, "password-file", "", "file with the password of the user")
	fs.StringVar(&o.host, "host", "127.0.0.1", "address to listen on")
	fs.IntVar(&o.tcpPort, "tcp-port", 0, "port of the native protocol")
	fs.IntVar(&o.httpPort, "http-port", 0, "port of the HTTP interface")
	fs.StringVar(&o.logLevel, "log-level", "information", "least severe level that is logged, as ClickHouse names it")
	fs.DurationVar(&o.grace, "grace", 10*time.Second, "how long the server may take to end after the pipe was closed")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("parse command line: unexpected argument %q", fs.Arg(0))
	}
	for _, f := range []struct{ name, value string }{
		{"library", o.library}, {"config", o.config}, {"path", o.path}, {"user", o.user}, {"password-file", o.passwordFile},
	} {
		if f.value == "" {
			return options{}, fmt.Errorf("parse command line: -%s is required", f.name)
		}
	}
	for _, f := range []struct {
		name string
		port int
	}{{"tcp-port", o.tcpPort}, {"http-port", o.httpPort}} {
		if f.port < 1 || f.port > math.MaxUint16 {
			return options{}, fmt.Errorf("parse command line: -%s is %d, must be between 1 and %d", f.name, f.port, math.MaxUint16)
		}
	}
	if o.grace <= 0 {
		return options{}, fmt.Errorf("parse command line: -grace is %s, must be positive", o.grace)
	}
	return o, nil
}

// startQuery opens both listeners, HTTP last so that an answer over HTTP means
// that both are open, and then reads standard input to its end. "table" is the
// name under which clickhouse-local offers standard input.
const startQuery = "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT count() FROM table FORMAT Null"

// serverArgs is the command line of the library.
func serverArgs(o options, b *backend) []string {
	return []string{
		"clickhouse-local",
		"--config-file=" + o.config,
		"--path=" + o.path,
		"--log-level=" + o.logLevel, // clickhouse-local does not read it from the file
		"--listen_host=" + backendHost,
		fmt.Sprintf("--tcp_port=%d", b.tcpPort),
		fmt.Sprintf("--http_port=%d", b.httpPort),
		"--structure=line String",
		"--input-format=LineAsString",
		"--query=" + startQuery,
	}
}
