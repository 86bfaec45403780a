package profile

import "encoding/binary"

// Function is a function as a profile names it.
type Function struct {
	Name, SystemName, Filename string
	StartLine                  int64
}

// IsZero reports whether nothing is known of the function.
func (f Function) IsZero() bool { return f == Function{} }

// ID returns the content hash of f, the zero ID if nothing is known of it.
func (f Function) ID(scratch []byte) (ID, []byte) {
	if f.IsZero() {
		return ID{}, scratch
	}
	b := append(scratch[:0], 'f')
	b = AppendString(b, f.Name)
	b = AppendString(b, f.SystemName)
	b = AppendString(b, f.Filename)
	b = binary.AppendVarint(b, f.StartLine)
	return HashBytes(b), b
}

// Frame is one frame of a stack: a function or, where it is not known, the
// address within a mapping.
type Frame struct {
	// Address is as the producer gave it: the instruction pointer, or the
	// address within the executable where it has been normalised.
	Address  uint64
	Function Function
	// FunctionID is the content hash of Function.
	FunctionID ID
	// Line is the source line, 0 where it is not known.
	Line int64
	// Mapping is the file name of the executable or library, BuildID its build
	// id in hexadecimal (GNU, else Go, else htlhash).
	Mapping, BuildID string
	// Type is the value of [AttrFrameType]: kernel, native, go, cpython and so on.
	Type string
	// Inlined is true for a frame that was inlined into the frame after it.
	Inlined bool
}

// ID returns the content hash of f. It covers the address, so two unsymbolised
// frames are never taken for one. scratch is reused and returned.
func (f *Frame) ID(scratch []byte) (ID, []byte) {
	return f.id(scratch[:0], appendOrigin(nil, f))
}

// id is the ID of f, whose origin is as appendOrigin encodes it.
func (f *Frame) id(b, origin []byte) (ID, []byte) {
	var head [1 + 16 + 8 + binary.MaxVarintLen64]byte
	head[0] = 'l'
	binary.LittleEndian.PutUint64(head[1:], f.FunctionID.Hi)
	binary.LittleEndian.PutUint64(head[9:], f.FunctionID.Lo)
	binary.LittleEndian.PutUint64(head[17:], f.Address)
	n := 25 + binary.PutVarint(head[25:], f.Line)
	b = append(append(b, head[:n]...), origin...)
	if f.Inlined {
		b = append(b, 1)
	}
	return HashBytes(b), b
}

// appendOrigin encodes what many frames have in common, for their IDs.
func appendOrigin(b []byte, f *Frame) []byte {
	return AppendString(AppendString(AppendString(b, f.Mapping), f.BuildID), f.Type)
}

// IsKernel reports whether the frame ran in the kernel.
func (f *Frame) IsKernel() bool { return f.Type == FrameKernel }

// stackKey is what the content that a stack's ID is the hash of begins with.
const stackKey = 's'

// StackID returns the content hash of a stack given the IDs of its frames, leaf
// first. The empty stack has the zero ID.
func StackID(frames []ID, scratch []byte) (ID, []byte) {
	if len(frames) == 0 {
		return ID{}, scratch
	}
	b := append(scratch[:0], stackKey)
	for _, f := range frames {
		b = AppendID(b, f)
	}
	return HashBytes(b), b
}
