package aperturereceiver

import (
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// dump writes profiles as text, one line per resource, profile and sample, so
// that tests can say what they expect. The receipt time is left out.
func dump(pd pprofile.Profiles) string {
	var b strings.Builder
	d := pd.Dictionary()
	for _, rp := range pd.ResourceProfiles().All() {
		attrs := rp.Resource().Attributes().AsRaw()
		delete(attrs, "aperture.batch.received_at")
		b.WriteString("resource")
		for _, k := range slices.Sorted(keys(attrs)) {
			fmt.Fprintf(&b, " %s=%v", k, attrs[k])
		}
		b.WriteByte('\n')
		for _, sp := range rp.ScopeProfiles().All() {
			for _, p := range sp.Profiles().All() {
				fmt.Fprintf(&b, "  profile %s/%s period %s/%s %d time %d+%d%s\n",
					str(d, p.SampleType().TypeStrindex()), str(d, p.SampleType().UnitStrindex()),
					str(d, p.PeriodType().TypeStrindex()), str(d, p.PeriodType().UnitStrindex()), p.Period(),
					uint64(p.Time()), p.DurationNano(), dumpAttrs(d, p.AttributeIndices()))
				for _, s := range p.Samples().All() {
					fmt.Fprintf(&b, "    values %v at %v%s:%s\n", s.Values().AsRaw(), s.TimestampsUnixNano().AsRaw(),
						dumpAttrs(d, s.AttributeIndices()), dumpStack(d, s.StackIndex()))
				}
			}
		}
	}
	return b.String()
}

func keys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func str(d pprofile.ProfilesDictionary, i int32) string { return d.StringTable().At(int(i)) }

func dumpAttrs(d pprofile.ProfilesDictionary, indices pcommon.Int32Slice) string {
	var b strings.Builder
	for _, i := range indices.All() {
		a := d.AttributeTable().At(int(i))
		fmt.Fprintf(&b, " %s=%s", str(d, a.KeyStrindex()), a.Value().AsString())
	}
	return b.String()
}

func dumpStack(d pprofile.ProfilesDictionary, stack int32) string {
	var b strings.Builder
	for _, i := range d.StackTable().At(int(stack)).LocationIndices().All() {
		l := d.LocationTable().At(int(i))
		fmt.Fprintf(&b, " %#x", l.Address())
		for _, line := range l.Lines().All() {
			fmt.Fprintf(&b, "=%s", str(d, d.FunctionTable().At(int(line.FunctionIndex())).NameStrindex()))
		}
		if l.MappingIndex() != 0 {
			fmt.Fprintf(&b, "@%s", str(d, d.MappingTable().At(int(l.MappingIndex())).FilenameStrindex()))
		}
		for _, a := range l.AttributeIndices().All() {
			fmt.Fprintf(&b, "/%s", d.AttributeTable().At(int(a)).Value().Str())
		}
	}
	return b.String()
}
