package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "devel"

// Exit statuses.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // as shells have it: 128 and SIGINT
)

func main() {
	// The second signal ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, now: time.Now}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// app is one run of the program and all it touches.
type app struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	now      func() time.Time

	global globalFlags
	// started is set once the command line was understood.
	started bool
}

// run runs a command line and returns the exit status.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	completion(root, args)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	var ended commandStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended):
		return int(ended)
	case !a.started || errors.As(err, &usage):
		fmt.Fprintf(a.err, "aperturectl: %s; see `aperturectl --help`\n", sentence(err.Error()))
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(a.err, "aperturectl: interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(a.err, "aperturectl: %s\n", sentence(explain(err)))
	return exitFailure
}

// sentence returns text as one line that is safe to show on a terminal.
func sentence(text string) string {
	return strings.TrimRight(strings.Join(strings.Fields(printable(text)), " "), ".")
}

// runs makes fn what a command does.
func (a *app) runs(fn func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := a.global.check(cmd.Flags(), a.getenv); err != nil {
			return err
		}
		a.started = true
		return fn(cmd.Context(), args)
	}
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "aperturectl",
		Short: "Profiles of an Aperture Collector, and of this host, on the command line",
		Long: `Asks an Aperture Collector for profiles, compares, exports and pushes them, keeps
its alert rules, and profiles this host without a collector.`,
		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	a.global.register(root.PersistentFlags())
	root.AddCommand(
		a.queryCommand(), a.batchesCommand(), a.aggregateCommand(), a.topCommand(), a.diffCommand(),
		a.exportCommand(), a.alertsCommand(), a.pushCommand(), a.recordCommand(), a.versionCommand(),
	)
	return root
}

// completion adds the command of that name, which by itself takes any argument for
// a wish for help. root must know its output.
func completion(root *cobra.Command, args []string) {
	root.InitDefaultCompletionCmd(args...)
	if cmd, _, err := root.Find([]string{"completion"}); err == nil {
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: a.runs(func(context.Context, []string) error {
			commit := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						commit = " (commit " + s.Value[:min(len(s.Value), 12)] + ")"
					}
				}
			}
			_, err := fmt.Fprintf(a.out, "aperturectl %s%s\n", version, commit)
			return err
		}),
	}
}
