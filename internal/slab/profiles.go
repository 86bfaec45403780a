package slab

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// Profiles makes what there is most of in Profiles. The zero value is ready for use. It
// is not safe for concurrent use.
type Profiles struct {
	Samples   Elements[pprofile.Sample, pprofile.SampleSlice]
	Stacks    Elements[pprofile.Stack, pprofile.StackSlice]
	Locations Elements[pprofile.Location, pprofile.LocationSlice]
	Lines     Elements[pprofile.Line, pprofile.LineSlice]
	Functions Elements[pprofile.Function, pprofile.FunctionSlice]
	Values    Numbers[int64, pcommon.Int64Slice]
	// Indices are those of locations in stacks and of attributes.
	Indices Numbers[int32, pcommon.Int32Slice]
}

// Forget makes what comes next be in blocks of its own.
func (p *Profiles) Forget() {
	p.Samples.Forget()
	p.Stacks.Forget()
	p.Locations.Forget()
	p.Lines.Forget()
	p.Functions.Forget()
	p.Values.Forget()
	p.Indices.Forget()
}
