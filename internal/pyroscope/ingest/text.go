package ingest

import (
	"bytes"
	"strconv"
	"unsafe"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// Text adds a profile in one of the formats folded, lines, trie and tree. data may be
// used again afterwards.
func (b *Batch) Text(p *Params, data []byte) error {
	service, suffix := typemap.CutSuffix(p.Application)
	is, ok := typemap.OfText(suffix)
	if !ok {
		return unknownType(suffix)
	}
	series, err := p.series(service)
	if err != nil {
		return err
	}
	if int64(len(data)) > b.limits.Size() {
		return tooLarge("profile with labels '%s' has %d bytes; the limit is %d", series, len(data), b.limits.Size())
	}
	b.Bytes += int64(len(data))
	s := newSums(b.newStacks())
	switch p.Format {
	case Trie:
		err = s.trie(data)
	case Tree:
		err = s.tree(data)
	case Lines:
		err = s.lines(data)
	default:
		err = s.folded(data)
	}
	if err != nil {
		return err
	}
	return s.write(b, series, is, p.rate())
}

func unknownType(suffix string) error {
	return invalid(ReasonType, "pyroscopeIngesterAdapter failed to convert metadata: unknown profile type: %.64s", suffix)
}

func (p *Params) rate() *rate { return &rate{hz: p.SampleRate, from: p.From, until: p.Until} }

// folded reads stacks, one on each line: frames from the outermost to the innermost
// parted by semicolons, a space and a whole number. Lines without a space are left
// out, as are numbers that are not positive.
func (s *sums) folded(data []byte) error {
	for line := range lines(data) {
		space := bytes.LastIndexByte(line, ' ')
		if space < 0 {
			continue
		}
		n, err := strconv.ParseInt(text(line[space+1:]), 10, 64)
		if err != nil {
			return badBody("strconv.Atoi: parsing %.64q: %s", line[space+1:], reason(err))
		}
		if n <= 0 {
			continue
		}
		if err := s.addText(text(line[:space]), n); err != nil {
			return err
		}
	}
	return nil
}

// reason returns why a number is none.
func reason(err error) string {
	if ne, ok := err.(*strconv.NumError); ok { //nolint:errorlint // of strconv itself
		return ne.Err.Error()
	}
	return err.Error()
}

// lines reads stacks, one on each line, that count 1 each.
func (s *sums) lines(data []byte) error {
	for line := range lines(data) {
		if len(line) == 0 {
			continue
		}
		if err := s.addText(text(line), 1); err != nil {
			return err
		}
	}
	return nil
}

// lines returns the lines without what ends them.
func lines(data []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for line := range bytes.Lines(data) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if !yield(bytes.TrimSuffix(line, []byte("\r"))) {
				return
			}
		}
	}
}

// text returns b as a string for as long as b is unchanged.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
