package pyroscopeapiextension

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/pprof/driver"
	pprofile "github.com/google/pprof/profile"
)

// Nodes of graphs in the DOT language.
const (
	defaultDotNodes = 100
	// dotSource is how many call paths graphs are made of at least, maxDotNodes at
	// most: others wait while one is drawn, and nobody can read so many.
	dotSource   = 512
	maxDotNodes = 10_000
)

// dot answers a query with a graph of functions as `pprof -dot` draws it, empty if
// there is nothing to draw.
func (a *api) dot(ctx context.Context, q *stackQuery, maxNodes int64) (string, error) {
	if maxNodes == 0 {
		maxNodes = defaultDotNodes
	}
	maxNodes, err := a.cfg.nodes(maxNodes)
	if err != nil {
		return "", err
	}
	maxNodes = min(maxNodes, maxDotNodes)
	p, err := a.mergeProfile(ctx, q, max(maxNodes, dotSource))
	if err != nil || len(p.Sample) == 0 {
		return "", err
	}
	b, err := p.MarshalVT()
	if err != nil {
		return "", fmt.Errorf("write pprof: %w", err)
	}
	parsed, err := pprofile.ParseData(b)
	if err != nil {
		return "", fmt.Errorf("read pprof: %w", err)
	}
	for _, m := range parsed.Mapping {
		m.File = "" // the first would be the title
	}
	return drawDot(ctx, parsed, maxNodes)
}

// drawing has an element while pprof's driver runs, which keeps its options in a
// variable.
var drawing = make(chan struct{}, 1)

func drawDot(ctx context.Context, p *pprofile.Profile, nodes int64) (string, error) {
	select {
	case drawing <- struct{}{}:
	case <-ctx.Done():
		return "", fmt.Errorf("wait for other graphs: %w", context.Cause(ctx))
	}
	defer func() { <-drawing }()
	var out bytes.Buffer
	err := driver.PProf(&driver.Options{
		Flagset: &dotFlags{
			FlagSet: flag.NewFlagSet("pprof", flag.ContinueOnError),
			args:    []string{"-dot", "-output=dot", "-symbolize=none", "-nodecount=" + strconv.FormatInt(nodes, 10), "profile"},
		},
		Fetch:  fetched{p},
		Writer: dotWriter{&out},
		Sym:    noSymbols{},
		Obj:    noObjects{},
		UI:     silent{},
	})
	if err != nil {
		return "", fmt.Errorf("draw graph: %w", err)
	}
	return out.String(), nil
}

// dotFlags are the flags of a command line.
type dotFlags struct {
	*flag.FlagSet
	args []string
}

// StringList implements [driver.FlagSet].
func (f *dotFlags) StringList(name, value, usage string) *[]*string {
	return &[]*string{f.String(name, value, usage)}
}

// ExtraUsage implements [driver.FlagSet].
func (f *dotFlags) ExtraUsage() string { return "" }

// AddExtraUsage implements [driver.FlagSet].
func (f *dotFlags) AddExtraUsage(string) {}

// Parse implements [driver.FlagSet].
func (f *dotFlags) Parse(func()) []string {
	f.SetOutput(io.Discard)
	if err := f.FlagSet.Parse(f.args); err != nil {
		return nil
	}
	return f.Args()
}

// fetched is a profile that is there already.
type fetched struct{ p *pprofile.Profile }

// Fetch implements [driver.Fetcher]. Without a source, pprof does not take it for one
// that must be saved.
func (f fetched) Fetch(string, time.Duration, time.Duration) (*pprofile.Profile, string, error) {
	return f.p, "", nil
}

// dotWriter takes the output.
type dotWriter struct{ to io.Writer }

// Open implements [driver.Writer].
func (w dotWriter) Open(string) (io.WriteCloser, error) { return w, nil }

// Write implements [io.Writer].
func (w dotWriter) Write(b []byte) (int, error) { return w.to.Write(b) }

// Close implements [io.Closer].
func (dotWriter) Close() error { return nil }

// noSymbols leaves symbols as they are.
type noSymbols struct{}

// Symbolize implements [driver.Symbolizer].
func (noSymbols) Symbolize(string, driver.MappingSources, *pprofile.Profile) error { return nil }

// noObjects keeps pprof from opening files that profiles name.
type noObjects struct{}

var errNoFiles = errors.New("files of profiles are not read")

// Open implements [driver.ObjTool].
func (noObjects) Open(string, uint64, uint64, uint64, string) (driver.ObjFile, error) {
	return nil, errNoFiles
}

// Disasm implements [driver.ObjTool].
func (noObjects) Disasm(string, uint64, uint64, bool) ([]driver.Inst, error) { return nil, errNoFiles }

// silent is a user interface that nobody looks at.
type silent struct{}

// ReadLine implements [driver.UI].
func (silent) ReadLine(string) (string, error) { return "", io.EOF }

// Print implements [driver.UI].
func (silent) Print(...any) {}

// PrintErr implements [driver.UI].
func (silent) PrintErr(...any) {}

// IsTerminal implements [driver.UI].
func (silent) IsTerminal() bool { return false }

// WantBrowser implements [driver.UI].
func (silent) WantBrowser() bool { return false }

// SetAutoComplete implements [driver.UI].
func (silent) SetAutoComplete(func(string) string) {}
