package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
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
		fmt.Fprintln(os.Stderr, "clickhouse-embedded:", err)
		os.Exit(exitFailed)
	}
}

func run(opts options) error {
	// Until here, and while the library is loaded, the parent's choice of death
	// signal (SIGKILL) holds. From here on the watcher sees the parent go, and
	// can let the server end by itself.
	if err := watchParent(int(os.Stdin.Fd()), opts.grace); err != nil {
		return err
	}
	lib, err := openLibrary(opts.library)
	if err != nil {
		return err
	}
	return lib.serve(opts.serverArgs())
}

// options is the command line.
type options struct {
	library  string
	config   string
	path     string
	host     string
	tcpPort  int
	httpPort int
	logLevel string
	grace    time.Duration
}

func parseOptions(args []string, output io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("clickhouse-embedded", flag.ContinueOnError)
	fs.SetOutput(output)
	fs.StringVar(&o.library, "library", "", "path of libchdb.so")
	fs.StringVar(&o.config, "config", "", "path of the ClickHouse configuration file")
	fs.StringVar(&o.path, "path", "", "data directory")
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
	for name, value := range map[string]string{"library": o.library, "config": o.config, "path": o.path} {
		if value == "" {
			return options{}, fmt.Errorf("parse command line: -%s is required", name)
		}
	}
	for name, port := range map[string]int{"tcp-port": o.tcpPort, "http-port": o.httpPort} {
		if port < 1 || port > 65535 {
			return options{}, fmt.Errorf("parse command line: -%s is %d, must be between 1 and 65535", name, port)
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
func (o options) serverArgs() []string {
	return []string{
		"clickhouse-local",
		"--config-file=" + o.config,
		"--path=" + o.path,
		"--log-level=" + o.logLevel, // clickhouse-local does not read it from the file
		"--listen_host=" + o.host,
		fmt.Sprintf("--tcp_port=%d", o.tcpPort),
		fmt.Sprintf("--http_port=%d", o.httpPort),
		"--structure=line String",
		"--input-format=LineAsString",
		"--query=" + startQuery,
	}
}
