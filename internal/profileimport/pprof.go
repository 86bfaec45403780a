package profileimport

import (
	"fmt"

	pprof "github.com/google/pprof/profile"
	"google.golang.org/protobuf/encoding/protowire"
)

// maxMessages bounds the samples, locations, functions, mappings and strings of a
// pprof file. An empty one takes two bytes there and some hundred in memory.
const maxMessages = 4 << 20

// Pprof decodes an inflated profile.proto,
// https://github.com/google/pprof/blob/main/proto/profile.proto.
func Pprof(data []byte) (p *pprof.Profile, err error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("decode pprof: the file is empty")
	}
	if err := scanPprof(data); err != nil {
		return nil, err
	}
	// The decoder is not ours; what it does with hostile input must not end us.
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("decode pprof: %v", r)
		}
	}()
	if p, err = pprof.ParseUncompressed(data); err != nil {
		return nil, fmt.Errorf("decode pprof: %w", err)
	}
	if err := p.CheckValid(); err != nil {
		return nil, fmt.Errorf("decode pprof: %w", err)
	}
	if len(p.SampleType) == 0 {
		return nil, fmt.Errorf("decode pprof: the profile has no sample_type")
	}
	return p, nil
}

// scanPprof checks the outermost fields: that they are those of a pprof file, that
// the file is complete, and how many there are.
func scanPprof(data []byte) error {
	n := 0
	for rest := data; len(rest) > 0; {
		number, wire, length := protowire.ConsumeField(rest)
		at := len(data) - len(rest)
		if length < 0 {
			return fmt.Errorf("decode pprof: at byte %d of %d: %w", at, len(data), protowire.ParseError(length))
		}
		if number > 15 || wire != protowire.BytesType && wire != protowire.VarintType {
			return fmt.Errorf("decode pprof: field %d of wire type %d at byte %d is none of a profile", number, wire, at)
		}
		if n++; n > maxMessages {
			return fmt.Errorf("decode pprof: there are more than %d samples, locations and strings: %w", maxMessages, ErrTooLarge)
		}
		rest = rest[length:]
	}
	return nil
}
