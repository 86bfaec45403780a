package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// exportFormats are the routes below /api/export.
var exportFormats = []string{"json", "collapsed", "pprof", "speedscope", "svg", "otlp"}

func (a *app) exportCommand() *cobra.Command {
	var f filters
	var file, title string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export FORMAT",
		Short: "Export profiles as json, collapsed, pprof, speedscope, svg or otlp",
		Long: `Exports the profiles that the filters select, those of the CPU unless --type says
otherwise (json and otlp: all kinds). The file appears when it is complete.`,
		Example: `  aperturectl export svg --since 15m --service shop -o shop.svg
  aperturectl export pprof --since 1h -o cpu.pb.gz && go tool pprof -http : cpu.pb.gz`,
		ValidArgs: exportFormats, Args: exportFormat,
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVarP(&file, "output", "o", "", "`file` to write, not a format (default: standard output)")
	cmd.Flags().StringVar(&title, "title", "", "title of an svg")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write otlp as OTLP/JSON instead of protobuf")
	cmd.RunE = a.runs(func(ctx context.Context, args []string) error {
		if err := f.parse(a.now()); err != nil {
			return err
		}
		format, query := args[0], f.params()
		if title != "" {
			if format != "svg" {
				return usagef("--title is for svg only")
			}
			query.Set("title", title)
		}
		binary := format == "pprof"
		if format == "otlp" {
			binary = !asJSON
			query.Set("format", map[bool]string{true: "json", false: "proto"}[asJSON])
		}
		return a.download(ctx, request{method: http.MethodGet, path: "/api/export/" + format, query: query}, file, binary)
	})
	return cmd
}

func exportFormat(_ *cobra.Command, args []string) error {
	if len(args) != 1 || !slices.Contains(exportFormats, args[0]) {
		return usagef("name one format: %s", strings.Join(exportFormats, ", "))
	}
	return nil
}

// download streams an answer to a file.
func (a *app) download(ctx context.Context, r request, file string, binary bool) error {
	return a.toFile(file, binary, func(w io.Writer) error {
		var bytes counter
		size := int64(-1)
		p := a.startProgress(func(elapsed time.Duration) string { return bytes.line("received", size, elapsed) })
		defer p.close()
		resp, err := a.send(ctx, r)
		if err != nil {
			return err
		}
		defer resp.body.Close()
		if _, err := io.Copy(io.MultiWriter(w, &bytes), resp.body); err != nil {
			return err
		}
		if resp.truncated() {
			fmt.Fprintln(a.err, "the smallest stacks are left out: raise --limit to have more")
		}
		return nil
	})
}
