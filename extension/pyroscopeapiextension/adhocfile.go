package pyroscopeapiextension

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profileimport"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// adhocFile is a file of profiles with its sample types.
type adhocFile struct{ types []adhocType }

// adhocType is one of the values of a profile.
type adhocType struct {
	name   string
	id     typemap.ID
	p      *pprofwire.Profile
	column int
}

// readFile reads a profile of pprof, a recording of JFR or folded stacks. The error
// wraps [profile.ErrInvalid].
func readFile(data []byte) (*adhocFile, error) {
	inflated, err := profileimport.Read(bytes.NewReader(data), maxAdhocBytes)
	if err != nil {
		return nil, selector.Invalid("profile: %s", err)
	}
	format := profileimport.Detect(inflated)
	if format == profileimport.Aperture {
		return nil, selector.Invalid("profile is of a format that is none of pprof, folded, jfr")
	}
	list, err := profileimport.Parse(inflated, format, "")
	if err != nil {
		return nil, selector.Invalid("profile: %s", err)
	}
	out := &adhocFile{}
	for _, p := range list {
		for i, t := range p.Types() {
			one := adhocType{name: t.Type, id: typemap.ID{Sample: t}, p: p, column: i}
			if slices.Contains(out.names(), one.name) {
				one.name = fmt.Sprintf("%s (%d)", t.Type, len(out.types)+1)
			}
			out.types = append(out.types, one)
		}
	}
	if len(out.types) == 0 {
		return nil, selector.Invalid("profile has no sample types")
	}
	return out, checkFrames(list)
}

// maxAdhocFrames bounds the frames of all samples of a file. Samples share stacks in a
// file, and do not in a tree: a small file may have very many.
const maxAdhocFrames = 8 << 20

func checkFrames(list []*pprofwire.Profile) error {
	frames := 0
	for _, p := range list {
		for i := range p.NumSamples() {
			for _, location := range p.Sample(i).Locations {
				frames += max(len(p.Lines(location)), 1)
			}
			if frames > maxAdhocFrames {
				return selector.Invalid("profile has more than %d frames in its samples", maxAdhocFrames)
			}
		}
	}
	return nil
}

func (f *adhocFile) names() (out []string) {
	for i := range f.types {
		out = append(out, f.types[i].name)
	}
	return out
}

// find returns the type of a name, the first if it is empty.
func (f *adhocFile) find(name string) (*adhocType, error) {
	if name == "" {
		return &f.types[0], nil
	}
	i := slices.IndexFunc(f.types, func(t adhocType) bool { return t.name == name })
	if i < 0 {
		return nil, selector.Invalid("profile type is %.64q; it must be one of %s", name, strings.Join(f.names(), ", "))
	}
	return &f.types[i], nil
}

// tree returns the call tree of the type.
func (t *adhocType) tree() *flamebearer.Tree {
	m := &profilestore.Merge{Kinds: make([]profilestore.KindMerge, 1)}
	frames := make(map[string]*profile.Frame)
	frame := func(name string) *profile.Frame {
		if frames[name] == nil {
			frames[name] = &profile.Frame{Function: profile.Function{Name: name}}
		}
		return frames[name]
	}
	for i := range t.p.NumSamples() {
		s := t.p.Sample(i)
		var stack profilestore.Stack
		for _, location := range s.Locations {
			lines := t.p.Lines(location)
			if len(lines) == 0 {
				stack.Frames = append(stack.Frames, frame(flame.Name(&profile.Frame{Address: t.p.Locations[location].Address})))
			}
			for _, line := range lines {
				stack.Frames = append(stack.Frames, frame(t.p.Text(t.p.Functions[line.Function].Name)))
			}
		}
		row := profilestore.Row{Stack: int32(i)}
		row.Values[0] = s.Values[t.column]
		m.Stacks, m.Kinds[0].Rows = append(m.Stacks, stack), append(m.Kinds[0].Rows, row)
	}
	return flamebearer.New(flame.Build(m, &m.Kinds[0], flame.Options{}), 0, 1)
}
