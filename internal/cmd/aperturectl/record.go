package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aperture-collector/aperture-collector/internal/export"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// recordKinds are the profiles that this host can take.
var recordKinds = []string{profile.KindCPU, profile.KindOffCPU, profile.KindLock, profile.KindSyscall}

// recordFormats are the formats of a recording with the suffixes of their files.
var recordFormats = []struct {
	name     string
	suffixes []string
	binary   bool
}{
	{"pprof", []string{".pb.gz", ".pprof", ".prof"}, true},
	{"collapsed", []string{".collapsed", ".folded", ".txt"}, false},
	{"speedscope", []string{".json"}, false},
	{"svg", []string{".svg"}, false},
}

type recordFlags struct {
	kind, format, file string
	duration           time.Duration
	frequency          int
	pids               []int
	command            []string
}

func (a *app) recordCommand() *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use:   "record [flags] [-- COMMAND [ARGUMENT...]]",
		Short: "Profile this host, a process or a command with eBPF, without a collector",
		Long: `Profiles this host, the processes of --pid, or a command and all it starts, and writes
pprof, folded stacks, a speedscope file or a flame graph. A host or a process is
profiled for --duration, a command until it ends; its exit status is then that of
aperturectl. An interrupt ends the profile early; what was recorded by then is written.
It needs root, or CAP_BPF and CAP_PERFMON.`,
		Example: `  aperturectl record -d 30s -o host.svg
  aperturectl record --pid 4242 --profile off_cpu -o waits.pb.gz
  aperturectl record -o make.svg -- make -j8`,
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n > 0 || n < 0 && len(args) > 0 {
				return usagef("the command to profile comes after --, got %q", args[0])
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.kind, "profile", "p", profile.KindCPU, "`profile`: "+strings.Join(recordKinds, ", "))
	flags.DurationVarP(&f.duration, "duration", "d", 0, "`duration` of the profile (default 10s; of a command: until it ends)")
	flags.StringVarP(&f.file, "output", "o", "", "`file` to write, not a format; - for the standard output (default aperture-PROFILE.svg)")
	flags.StringVar(&f.format, "format", "", "`format`: pprof, collapsed, speedscope or svg (default: as the name of the file ends)")
	flags.IntVarP(&f.frequency, "frequency", "F", 99, "CPU samples per second and processor, from 1 to 1000")
	flags.IntSliceVar(&f.pids, "pid", nil, "`process` to profile; may be repeated")
	cmd.RunE = a.runs(func(ctx context.Context, args []string) error {
		f.command = args
		if err := f.check(); err != nil {
			return err
		}
		return a.record(ctx, &f)
	})
	return cmd
}

func (f *recordFlags) check() error {
	if !slices.Contains(recordKinds, f.kind) {
		return usagef("--profile must be one of %s, got %q", strings.Join(recordKinds, ", "), f.kind)
	}
	if f.duration < 0 || f.duration > 24*time.Hour {
		return usagef("--duration must be from 0 to 24h, got %s", f.duration)
	}
	if f.frequency < 1 || f.frequency > 1000 {
		return usagef("--frequency must be from 1 to 1000, got %d", f.frequency)
	}
	if len(f.command) > 0 && len(f.pids) > 0 {
		return usagef("--pid and a command exclude each other")
	}
	if f.duration == 0 && len(f.command) == 0 {
		f.duration = 10 * time.Second
	}
	if f.file == "" {
		f.file = "aperture-" + f.kind + "." + map[string]string{
			"pprof": "pb.gz", "collapsed": "txt", "speedscope": "json", "svg": "svg", "": "svg",
		}[f.format]
	}
	if f.format == "" {
		f.format = formatOf(f.file)
	}
	for _, known := range recordFormats {
		if f.format == known.name {
			return nil
		}
	}
	return usagef("--format must be pprof, collapsed, speedscope or svg, got %q", f.format)
}

// formatOf returns the format by the name of a file, pprof for unknown ones.
func formatOf(file string) string {
	for _, f := range recordFormats {
		for _, s := range f.suffixes {
			if strings.HasSuffix(file, s) {
				return f.name
			}
		}
	}
	return "pprof"
}

// record takes a profile and writes it.
func (a *app) record(ctx context.Context, f *recordFlags) error {
	if f.file == "-" && f.format == "pprof" && isTerminal(a.out) {
		return usagef("pprof is binary: name a file by -o, or redirect the output")
	}
	var cmd *command
	targets := recordTargets{pids: f.pids}
	if len(f.command) > 0 {
		out := a.out
		if f.file == "-" {
			out = a.err // the profile has the standard output
		}
		var err error
		if cmd, err = a.prepareCommand(f.command, out); err != nil {
			return err
		}
		defer cmd.close()
		targets.cgroup = cmd.cgroupPattern()
	}
	session, err := a.startRecording(f.kind, f.frequency, targets)
	if err != nil {
		return err
	}
	return a.takeRecording(ctx, f, session, cmd)
}

// takeRecording waits until the profile is over and writes it: without the last samples
// if they cannot be had.
func (a *app) takeRecording(ctx context.Context, f *recordFlags, session *recording, cmd *command) error {
	err := a.awaitRecording(ctx, f, session, cmd)
	late := a.stopRecording(session)
	if err != nil {
		return err
	}
	merge, err := session.sum()
	if err != nil {
		return err
	}
	p, err := recorded(merge, f.kind, firstError(session.problem(), late))
	if err != nil {
		return err
	}
	if late != nil {
		fmt.Fprintf(a.err, "warning: the profile lacks its last samples: %s\n", late)
	}
	if err := a.toFile(f.file, f.format == "pprof", func(w io.Writer) error { return writeRecording(w, p, f) }); err != nil {
		return err
	}
	if f.file != "-" {
		fmt.Fprintf(a.err, "wrote %s: %d events, %d rows\n", printable(f.file), p.Kind.Events, len(p.Kind.Rows))
	}
	// The command may outlive its profile.
	return cmd.wait(ctx, a)
}

// awaitRecording waits until the profile is over.
func (a *app) awaitRecording(ctx context.Context, f *recordFlags, s *recording, cmd *command) error {
	var ended <-chan struct{}
	if cmd != nil {
		if err := cmd.start(); err != nil {
			return failf("cannot start %s: %s", f.command[0], err)
		}
		ended = cmd.ended
	}
	p := a.startProgress(func(elapsed time.Duration) string {
		of := ""
		if f.duration > 0 {
			of = " of " + f.duration.String()
		}
		return fmt.Sprintf("recording for %s%s, %d events", elapsed.Round(time.Second), of, s.events())
	})
	defer p.close()
	var over <-chan time.Time
	if f.duration > 0 {
		timer := time.NewTimer(f.duration)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-ended:
	case <-ctx.Done(): // what there is by now is written
	}
	return nil
}

// stopRecording ends the profile. The error says why its last samples are not there.
func (a *app) stopRecording(s *recording) error {
	p := a.startProgress(func(elapsed time.Duration) string {
		return fmt.Sprintf("recording is over; naming the functions of the last samples for %s, at most %s", elapsed.Round(time.Second), stopTimeout)
	})
	defer p.close()
	err := s.stop()
	if errors.Is(err, context.DeadlineExceeded) {
		return failf("naming their functions took longer than %s", stopTimeout)
	}
	return err
}

// recorded returns the profile of a kind. System calls are by name: all of them, as no
// stacks are taken of them.
func recorded(m *profilestore.Merge, kind string, problem error) (*export.Profile, error) {
	switch {
	case len(m.Kinds) > 0 && kind == profile.KindSyscall:
		return export.Syscalls(&m.Kinds[0]), nil
	case len(m.Kinds) > 0:
		return &export.Profile{Merge: m, Kind: &m.Kinds[0]}, nil
	case problem != nil:
		return nil, failf("nothing was recorded: %s", problem)
	}
	return nil, failf("nothing was recorded: nothing of the %s profile happened; record for longer", kind)
}

func writeRecording(w io.Writer, p *export.Profile, f *recordFlags) error {
	switch f.format {
	case "pprof":
		return export.WritePprof(w, p)
	case "speedscope":
		return export.WriteSpeedscope(w, p)
	case "svg":
		return export.WriteSVG(w, p, export.SVGOptions{Title: f.title(), Width: export.DefaultSVGWidth})
	case "collapsed":
		return flame.Build(p.Merge, p.Kind, flame.Options{Rename: flame.FoldedName, SkipEmpty: true}).WriteFolded(w, 0)
	}
	return errors.New("unknown format " + f.format)
}

// title names a flame graph.
func (f *recordFlags) title() string {
	what := "this host"
	switch {
	case len(f.command) > 0:
		what = strings.Join(f.command, " ")
	case len(f.pids) == 1:
		what = fmt.Sprintf("process %d", f.pids[0])
	case len(f.pids) > 1:
		what = fmt.Sprintf("%d processes", len(f.pids))
	}
	title := f.kind + " flame graph of " + printable(what)
	if len(title) > 200 {
		title = strings.ToValidUTF8(title[:200], "") + "…"
	}
	return title
}
