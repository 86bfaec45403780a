package profile

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// IDs are in stores: what they are the hashes of must never change.
func TestIDsOfContent(t *testing.T) {
	f := Function{Name: "handle", SystemName: "_handle", Filename: "server.go", StartLine: -3}
	function, _ := f.ID(nil)
	b := AppendString(AppendString(AppendString([]byte{'f'}, f.Name), f.SystemName), f.Filename)
	assert.Equal(t, HashBytes(binary.AppendVarint(b, -3)), function)
	assert.Equal(t, "412edf80ee78885e1dde1258f54089f1", function.String())

	frame := Frame{Address: 0x1234, Function: f, FunctionID: function, Line: 300, Mapping: "/bin/app", BuildID: "abc", Type: FrameGo, Inlined: true}
	b = binary.LittleEndian.AppendUint64(AppendID([]byte{'l'}, function), frame.Address)
	b = AppendString(AppendString(AppendString(binary.AppendVarint(b, 300), frame.Mapping), frame.BuildID), frame.Type)
	id, scratch := frame.ID(nil)
	assert.Equal(t, HashBytes(append(b, 1)), id)
	assert.Equal(t, "96f22a6dbc3f377c1fba87245cd15256", id.String())
	frame.Inlined = false
	other, _ := frame.ID(scratch)
	assert.Equal(t, HashBytes(b), other)

	stack, _ := StackID([]ID{id, other}, nil)
	assert.Equal(t, HashBytes(AppendID(AppendID([]byte{'s'}, id), other)), stack)
	assert.Equal(t, "3aabfefb0c3ee5c0aaaf8b1408a72fc1", stack.String())
}

// A dictionary has the IDs of its content, also where frames differ in what most have
// in common with their neighbours.
func TestIDsOfDictionary(t *testing.T) {
	b := NewBuilder()
	var locations []int32
	for _, m := range []Mapping{{}, {Filename: "a"}, {Filename: "a", BuildID: "1"}, {Filename: "b", BuildID: "1"}, {Filename: "b", BuildID: "1"}} {
		for _, frameType := range []string{"", FrameGo, FrameGo, FrameKernel} {
			fn := Line{Function: b.Function(Function{Name: m.Filename + frameType}), Line: int64(len(locations))}
			locations = append(locations, b.Location(b.Mapping(m), uint64(len(locations)), frameType, fn, fn)) // inlined
			locations = append(locations, b.Location(b.Mapping(m), uint64(len(locations)), frameType))
		}
	}
	b.Stack(locations)
	d, err := NewDictionary(b.Profiles().Dictionary(), Limits{})
	require.NoError(t, err)
	require.Len(t, d.Frames, 1+len(locations)*3/2)
	var scratch []byte
	var want ID
	for i := range d.Frames {
		f := &d.Frames[i]
		want, scratch = f.Function.ID(scratch)
		require.Equal(t, want, f.FunctionID)
		want, scratch = f.ID(scratch)
		require.Equal(t, want, d.FrameIDs[i], i)
	}
	want, _ = StackID(d.FrameIDs[1:], scratch)
	require.Equal(t, want, d.StackIDs[1])
}
