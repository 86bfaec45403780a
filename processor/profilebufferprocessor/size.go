package profilebufferprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// Estimated bytes of memory that a push needs besides its strings, for each
// sample and each entry of a table: what OTLP's structs take plus what taking
// them apart takes.
const (
	sampleCost = 160
	entryCost  = 320
	// waitCost is for a push that waits: its goroutine and its connection.
	waitCost = 16 << 10
)

// pushBytes estimates the memory that pd needs until it is summed.
func pushBytes(pd pprofile.Profiles) int64 {
	d := pd.Dictionary()
	n := int64(d.AttributeTable().Len()+d.FunctionTable().Len()+d.LocationTable().Len()+
		d.MappingTable().Len()+d.StackTable().Len()+d.LinkTable().Len()) * entryCost
	for i, t := 0, d.StringTable(); i < t.Len(); i++ {
		n += int64(len(t.At(i))) + 16
	}
	for i, t := 0, d.AttributeTable(); i < t.Len(); i++ {
		n += valueBytes(t.At(i).Value())
	}
	for i, t := 0, d.StackTable(); i < t.Len(); i++ {
		n += 24 * int64(t.At(i).LocationIndices().Len())
	}
	for _, rp := range pd.ResourceProfiles().All() {
		n += entryCost
		for _, v := range rp.Resource().Attributes().All() {
			n += entryCost + valueBytes(v)
		}
		for _, sp := range rp.ScopeProfiles().All() {
			n += entryCost
			for _, pr := range sp.Profiles().All() {
				n += entryCost + int64(pr.OriginalPayload().Len())
				for i, t := 0, pr.Samples(); i < t.Len(); i++ {
					s := t.At(i)
					n += sampleCost + 8*int64(s.TimestampsUnixNano().Len()+s.Values().Len())
				}
			}
		}
	}
	return n
}

// valueBytes is the size of the content of v. What is nested in it is not
// counted: it came as bytes of a message whose size the receiver bounds.
func valueBytes(v pcommon.Value) int64 {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return int64(len(v.Str()))
	case pcommon.ValueTypeBytes:
		return int64(v.Bytes().Len())
	}
	return 0
}
