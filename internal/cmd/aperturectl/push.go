package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"google.golang.org/grpc"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profileimport"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// pushFormats are the values of push --format.
var pushFormats = []string{"auto", "aperture", "pprof", "folded", "jfr"}

type pushFlags struct {
	format, kind, service, agent, otlp string
	labels                             []string
	at                                 string

	attributes map[string]string // of the resource, once the flags are checked
}

// pushResult is what `push -o json` writes.
type pushResult struct {
	Format string `json:"format"`
	// Kinds are the kinds of profiles, Events the number of observations, Messages
	// how many messages they were sent in.
	Kinds    []string `json:"kinds"`
	Events   uint64   `json:"events"`
	Messages int      `json:"messages"`
}

func (a *app) pushCommand() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:   "push FILE",
		Short: "Push a file: pprof, folded stacks, JFR or an Aperture payload",
		Long: `Pushes a file, or the standard input (-): pprof, folded stacks and Java Flight Recorder
as OpenTelemetry profiles to --otlp, the payload of an Aperture push (bincode) to --grpc.
The format is found out. Files may be gzipped. What is wrong with a file is said before
anything of it is sent.`,
		Example: `  aperturectl push cpu.pb.gz --service shop
  aperturectl push stacks.txt --service shop --type off_cpu
  aperturectl push recording.jfr --service shop --label env=prod`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one file, or - for the standard input")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "auto", "`format`: "+strings.Join(pushFormats, ", "))
	flags.StringVar(&f.kind, "type", "", "`kind` of profile (default: what the file says; folded: cpu)")
	flags.StringVar(&f.service, "service", "", "`service` that it is of (default for pprof: the name of the program)")
	flags.StringVar(&f.agent, "agent", "", "`agent` that it is from (default for aperture: this host's name)")
	flags.StringArrayVar(&f.labels, "label", nil, "`name=value` of the resource; may be repeated")
	flags.StringVar(&f.at, "at", "", "`time` of a file that has none, as --from of other commands (default: when it was changed)")
	flags.StringVar(&f.otlp, "otlp", "", "OTLP gRPC `address` of the collector (APERTURE_OTLP; default "+defaultOTLP+")")
	cmd.RunE = a.runs(func(ctx context.Context, args []string) error {
		if err := firstError(a.global.format(outputTable, outputJSON), f.check(a.getenv)); err != nil {
			return err
		}
		data, modified, err := a.readProfile(args[0])
		if err != nil {
			return failf("cannot read %s: %s", args[0], err)
		}
		if f.format == "auto" {
			f.format = string(profileimport.Detect(data))
		}
		if f.at != "" {
			ns, err := parseTime("--at", a.now(), f.at)
			if err != nil {
				return err
			}
			modified = time.Unix(0, ns)
		}
		if f.format == string(profileimport.Aperture) {
			return a.pushPayload(ctx, &f, args[0], data)
		}
		return a.pushOTLP(ctx, &f, args[0], data, modified)
	})
	return cmd
}

func (f *pushFlags) check(getenv func(string) string) error {
	if !slices.Contains(pushFormats, f.format) {
		return usagef("--format must be one of %s, got %q", strings.Join(pushFormats, ", "), f.format)
	}
	f.otlp = firstOf(f.otlp, getenv("APERTURE_OTLP"), defaultOTLP)
	f.attributes = make(map[string]string)
	for _, l := range f.labels {
		name, value, err := parseLabel(l)
		if err != nil {
			return err
		}
		f.attributes[name] = value
	}
	if f.service != "" {
		f.attributes["service.name"] = f.service
	}
	if f.agent != "" {
		f.attributes[profile.AttrAgentID] = f.agent
	}
	return firstError(
		checkUTF8("--service", f.service), checkUTF8("--agent", f.agent), checkUTF8("--type", f.kind),
		checkAddress("--otlp", f.otlp))
}

// readProfile reads and inflates a file and says when it was changed.
func (a *app) readProfile(name string) ([]byte, time.Time, error) {
	if name == "-" {
		data, err := profileimport.Read(a.in, profileimport.MaxSize)
		return data, a.now(), err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, time.Time{}, unwrapPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, unwrapPath(err)
	}
	if info.IsDir() {
		return nil, time.Time{}, fmt.Errorf("it is a directory")
	}
	data, err := profileimport.Read(f, profileimport.MaxSize)
	return data, info.ModTime(), err
}

// pushPayload sends what an Aperture agent would.
func (a *app) pushPayload(ctx context.Context, f *pushFlags, name string, data []byte) error {
	m, err := aperturewire.Decode(data)
	if err != nil {
		return failf("%s is no Aperture payload: %s", name, err)
	}
	agent := f.agent
	if agent == "" {
		if agent, err = os.Hostname(); err != nil {
			return failf("cannot read the name of this host (%s): give --agent", err)
		}
	}
	req := &aggregatorv1.PushRequest{AgentId: agent, Sequence: m.Sequence, Payload: data}
	var resp *aggregatorv1.PushResponse
	if err := a.call(ctx, "--grpc", a.global.grpc, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		resp, err = aggregatorv1.NewAggregatorClient(conn).Push(ctx, req)
		return err
	}); err != nil {
		return err
	}
	if !resp.GetOk() {
		return failf("the collector refuses %s: %s", name, resp.GetError())
	}
	kinds := make(map[string]bool)
	var e aperturewire.Event
	for events := m.Events(); events.Next(&e); {
		kinds[e.Kind.String()] = true
	}
	return a.writePushed(name, &pushResult{Format: f.format, Kinds: sortedKeys(kinds), Events: uint64(m.Len()), Messages: 1})
}

// pushOTLP converts a file and sends it.
func (a *app) pushOTLP(ctx context.Context, f *pushFlags, name string, data []byte, at time.Time) error {
	profiles, err := profileimport.Parse(data, profileimport.Format(f.format), f.kind)
	if err != nil {
		return failf("cannot use %s: %s", name, err)
	}
	o := profileimport.Options{Kind: f.kind, Time: at, Attributes: f.attributes}
	var parts []pprofile.Profiles
	for _, p := range profiles {
		of := o
		if len(profiles) > 1 {
			of.Kind = "" // a recording has several kinds
		}
		some, err := profileimport.Convert(p, of)
		if errors.Is(err, profileimport.ErrTime) {
			return failf("cannot use %s: %s; give its time by --at", name, err)
		}
		if err != nil {
			return failf("cannot use %s: %s", name, err)
		}
		parts = append(parts, some...)
	}
	result, err := check(parts)
	if err != nil {
		return failf("cannot use %s: %s", name, err)
	}
	result.Format = f.format
	if err := a.export(ctx, f.otlp, parts); err != nil {
		return err
	}
	return a.writePushed(name, result)
}

// check takes parts apart as the collector does, so that what it would refuse is
// refused before a half of it was sent.
func check(parts []pprofile.Profiles) (*pushResult, error) {
	r := &pushResult{Messages: len(parts)}
	kinds := make(map[string]bool)
	for _, pd := range parts {
		groups, err := profile.Split(pd, time.Hour, profile.Limits{})
		if err != nil {
			return nil, err
		}
		for _, g := range groups.Groups {
			kinds[g.Kind] = true
		}
		r.Events += groups.Events
	}
	if len(kinds) == 0 {
		return nil, fmt.Errorf("there are no samples in it")
	}
	r.Kinds = sortedKeys(kinds)
	return r, nil
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// export sends parts.
func (a *app) export(ctx context.Context, address string, parts []pprofile.Profiles) error {
	var sent atomic.Int64
	p := a.startProgress(func(elapsed time.Duration) string {
		return fmt.Sprintf("sent %d of %d messages, %s", sent.Load(), len(parts), elapsed.Round(time.Second))
	})
	defer p.close()
	steps := make([]func(context.Context, *grpc.ClientConn) error, len(parts))
	for i := range parts {
		steps[i] = func(ctx context.Context, conn *grpc.ClientConn) error {
			resp, err := pprofileotlp.NewGRPCClient(conn).Export(ctx, pprofileotlp.NewExportRequestFromProfiles(parts[i]))
			if err != nil {
				return err
			}
			if n := resp.PartialSuccess().RejectedProfiles(); n > 0 {
				return failf("the collector refuses %d profiles: %s", n, resp.PartialSuccess().ErrorMessage())
			}
			sent.Add(1)
			return nil
		}
	}
	err := a.call(ctx, "--otlp", address, steps...)
	if n := sent.Load(); err != nil && n > 0 && ctx.Err() == nil {
		return failf("%s; %d of %d messages were taken", explain(err), n, len(parts))
	}
	return err
}

func (a *app) writePushed(name string, r *pushResult) error {
	if a.global.output == outputJSON {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return a.writeJSON(text)
	}
	if name == "-" {
		name = "standard input"
	}
	_, err := io.WriteString(a.out, printable(fmt.Sprintf("pushed %s (%s): %d events of %s", name, r.Format, r.Events, strings.Join(r.Kinds, ", ")))+"\n")
	return err
}
