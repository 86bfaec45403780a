package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// bench is what all lines share.
type bench struct {
	dist     string        // folder with the built programs
	dir      string        // for files of this run
	duration time.Duration // of a measurement at 99 Hz
	table    table
}

// line measures one thing, or a few that come together, and adds rows to the table.
type line struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

var lines = []line{
	{"stacks", stacks},
	{"steady", steady},
	{"tables", tables},
	{"syscalls", syscalls},
	{"switches", switches},
	{"locks", locks},
	{"off-cpu", offCPU},
	{"accounts", accounts},
}

func main() {
	b := &bench{}
	only := flag.String("only", "", "regular expression of the lines to run: stacks, steady, tables, syscalls, switches, locks, off-cpu, accounts")
	keep := flag.Bool("keep", false, "keep configurations and logs")
	flag.StringVar(&b.dist, "dist", "dist", "folder with the built collector, the ClickHouse launcher and its library")
	flag.DurationVar(&b.duration, "duration", 20*time.Second, "how long to measure at 99 Hz; less than 10s makes shares noisy")
	flag.Parse()
	chosen, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-ebpf: -only:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, b, chosen, *keep)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-ebpf:", err)
		os.Exit(1)
	}
}

// run runs the chosen lines one after the other, all of them even if one fails.
func run(ctx context.Context, b *bench, chosen *regexp.Regexp, keep bool) (err error) {
	if b.dir, err = os.MkdirTemp("", "bench-ebpf-"); err != nil {
		return err
	}
	if keep {
		fmt.Println("configurations and logs:", b.dir)
	} else {
		defer func() { _ = os.RemoveAll(b.dir) }()
	}
	fmt.Println("machine:", benchkit.Machine())
	fmt.Printf("peers: %s; %s\n\n", version("perf"), version("bpftrace"))
	b.table.head()
	var errs []error
	for _, l := range lines {
		if !chosen.MatchString(l.name) || ctx.Err() != nil {
			continue
		}
		if err := l.run(ctx, b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.name, err))
		}
	}
	fmt.Println("\nmachine:", benchkit.Machine())
	return errors.Join(append(errs, ctx.Err())...)
}
