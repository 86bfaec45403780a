package corpus

import (
	"path"
	"strconv"
	"strings"

	pprof "github.com/google/pprof/profile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// location is a place in a service's binary, with the functions inlined there.
type location struct {
	address uint64
	lines   []line // innermost first
	// text is how the location appears in a folded stack, see [AppendFrame].
	text string
}

type line struct {
	function profile.Function
	number   int64
}

// binary lays the programs of a service out in one executable.
type binary struct {
	service   string
	mapping   profile.Mapping
	frameType string
	locations []location
	index     map[*pprof.Location]int32
	bases     map[*pprof.Mapping]uint64
}

func newBinary(service string, node bool) *binary {
	b := &binary{
		service:   service,
		mapping:   profile.Mapping{Start: 0x400000, Limit: 0x8000000, Filename: "/app/bin/" + service, BuildIDAttr: profile.AttrBuildIDGo},
		frameType: profile.FrameGo,
		index:     make(map[*pprof.Location]int32),
		bases:     make(map[*pprof.Mapping]uint64),
	}
	if node {
		b.mapping.Filename, b.frameType = "/usr/bin/node", "v8js"
		b.mapping.BuildIDAttr = profile.AttrBuildIDGNU
	}
	b.mapping.BuildID = profile.HashBytes([]byte(b.mapping.Filename)).String()
	return b
}

// add returns the index of a recorded location in the binary.
func (b *binary) add(l *pprof.Location) int32 {
	if i, ok := b.index[l]; ok {
		return i
	}
	base, ok := b.bases[l.Mapping]
	if !ok {
		base = uint64(len(b.bases)) * 0x1000000
		b.bases[l.Mapping] = base
	}
	out := location{address: base + l.Address}
	var text []byte
	for i, ln := range l.Line {
		name, file := b.rename(ln.Function.Name, ln.Function.Filename)
		out.lines = append(out.lines, line{
			profile.Function{Name: name, SystemName: ln.Function.SystemName, Filename: file, StartLine: ln.Function.StartLine}, ln.Line,
		})
		if i > 0 {
			text = append(text, ';')
		}
		text = AppendFrame(text, name, ln.Line, out.address)
	}
	out.text = string(text)
	i := int32(len(b.locations))
	b.locations = append(b.locations, out)
	b.index[l] = i
	return i
}

// rename makes the service's own code out of test code and of the test harness.
func (b *binary) rename(name, file string) (string, string) {
	if !strings.HasSuffix(file, "_test.go") && !strings.HasPrefix(name, "testing.") && file != "_testmain.go" {
		return name, file
	}
	fn := name[strings.LastIndexByte(name, '/')+1:]
	pkg, _, _ := strings.Cut(fn, ".")
	own := "example.com/shop/" + b.service + "/internal/"
	base := strings.TrimSuffix(strings.TrimSuffix(path.Base(file), ".go"), "_test") + ".go"
	return own + fn, own + pkg + "/" + base
}

// AppendFrame appends a frame as `function:line@address` (the address in
// hexadecimal). Frames joined by `;`, leaf first, are the folded stack that
// [StackKey] hashes.
func AppendFrame(dst []byte, function string, number int64, address uint64) []byte {
	dst = append(dst, function...)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, number, 10)
	dst = append(dst, '@')
	return strconv.AppendUint(dst, address, 16)
}
