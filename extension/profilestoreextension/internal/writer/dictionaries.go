package writer

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// dictionaryTable is a table whose rows are written once and referred to by
// their content hash.
type dictionaryTable struct {
	name  string
	input proto.Input
	// keys are those of the rows in input, to be remembered once they are stored.
	keys    []knownKey
	pending keyTable
	// scope is that of scopeKey, the one used last.
	scopeKey scopeKey
	scope    uint64
}

func (t *dictionaryTable) reset() {
	resetAll(t.input)
	t.keys = t.keys[:0]
	t.pending.clear()
	t.scopeKey = scopeKey{}
}

// dictionaries collect what a window refers to and the tables may not have.
type dictionaries struct {
	known *Known
	now   int64
	// scopes caches Known.scope.
	scopes map[scopeKey]uint64

	functions, locations, stacks, sets, series dictionaryTable

	fTenant, lTenant, kTenant, aTenant, sTenant *lowCardinality
	kService, sService                          *lowCardinality
	fSeen, lSeen, kSeen, aSeen, sSeen           seconds

	fID                     proto.ColUInt128
	fName, fSystem, fFile   proto.ColStr
	fLine                   proto.ColInt64
	lID, lFunction          proto.ColUInt128
	lAddress                proto.ColUInt64
	lLine                   proto.ColInt64
	lMapping, lBuild, lType *lowCardinality
	lInlined                proto.ColUInt8
	kID                     proto.ColUInt128
	kLocations              idArray
	aID, sID                proto.ColUInt128
	aLabels, sLabels        labelMap
}

type scopeKey struct {
	table, tenant, service string
}

func newDictionaries(known *Known) *dictionaries {
	d := &dictionaries{
		known: known, scopes: make(map[scopeKey]uint64),
		fTenant: newLowCardinality(), lTenant: newLowCardinality(), kTenant: newLowCardinality(),
		aTenant: newLowCardinality(), sTenant: newLowCardinality(),
		kService: newLowCardinality(), sService: newLowCardinality(),
		lMapping: newLowCardinality(), lBuild: newLowCardinality(), lType: newLowCardinality(),
		kLocations: newIDs(), aLabels: newLabelMap(), sLabels: newLabelMap(),
	}
	table := func(name string, input ...proto.InputColumn) dictionaryTable {
		return dictionaryTable{name: name, input: input}
	}
	column := func(name string, c proto.ColInput) proto.InputColumn {
		return proto.InputColumn{Name: name, Data: c}
	}
	d.functions = table("functions",
		column("tenant", d.fTenant), column("function", &d.fID), column("name", &d.fName),
		column("system_name", &d.fSystem), column("filename", &d.fFile), column("start_line", &d.fLine),
		column("last_seen", &d.fSeen))
	d.locations = table("locations",
		column("tenant", d.lTenant), column("location", &d.lID), column("function", &d.lFunction),
		column("address", &d.lAddress), column("line", &d.lLine), column("mapping", d.lMapping),
		column("build_id", d.lBuild), column("type", d.lType), column("inlined", &d.lInlined),
		column("last_seen", &d.lSeen))
	d.stacks = table("stacks",
		column("tenant", d.kTenant), column("service", d.kService), column("stack", &d.kID),
		column("locations", &d.kLocations), column("last_seen", &d.kSeen))
	d.sets = table("attribute_sets",
		column("tenant", d.aTenant), column("id", &d.aID), column("labels", &d.aLabels), column("last_seen", &d.aSeen))
	d.series = table("series",
		column("tenant", d.sTenant), column("service", d.sService), column("series", &d.sID),
		column("labels", &d.sLabels), column("last_seen", &d.sSeen))
	return d
}

// tables returns the tables in the order they are written: what is referred to
// before what refers to it.
func (d *dictionaries) tables() [5]*dictionaryTable {
	return [5]*dictionaryTable{&d.functions, &d.locations, &d.stacks, &d.sets, &d.series}
}

func (d *dictionaries) reset(now int64) {
	d.now = now
	clear(d.scopes)
	for _, t := range d.tables() {
		t.reset()
	}
}

// missing reports whether id must be written to a table, and if so notes that
// it will be.
func (d *dictionaries) missing(t *dictionaryTable, tenant, service string, id profile.ID) bool {
	key := d.known.key(d.scope(t, tenant, service), id)
	if d.known.has(key, d.now) {
		return false
	}
	if _, ok := t.pending.get(key); ok {
		return false
	}
	t.pending.put(key, 0)
	t.keys = append(t.keys, key)
	return true
}

func (d *dictionaries) scope(t *dictionaryTable, tenant, service string) uint64 {
	key := scopeKey{t.name, tenant, service}
	if t.scopeKey == key {
		return t.scope
	}
	s, ok := d.scopes[key]
	if !ok {
		s = d.known.scope(t.name, tenant, service)
		d.scopes[key] = s
	}
	t.scopeKey, t.scope = key, s
	return s
}

func (d *dictionaries) addSeries(s *profile.Series) {
	if !d.missing(&d.series, s.Tenant, s.Service, s.ID) {
		return
	}
	d.sTenant.Append(s.Tenant)
	d.sService.Append(s.Service)
	d.sID = append(d.sID, layout.ID(s.ID))
	d.sLabels.add(s.Labels)
	d.sSeen.add(d.now)
}

func (d *dictionaries) addSet(tenant string, a *profile.SampleAttributes) {
	if a.LabelsID.IsZero() || !d.missing(&d.sets, tenant, "", a.LabelsID) {
		return
	}
	d.aTenant.Append(tenant)
	d.aID = append(d.aID, layout.ID(a.LabelsID))
	d.aLabels.add(a.Labels)
	d.aSeen.add(d.now)
}

func (d *dictionaries) addStack(s *profile.Series, dict *profile.Dictionary, stack int32) {
	id := dict.StackIDs[stack]
	if id.IsZero() || !d.missing(&d.stacks, s.Tenant, s.Service, id) {
		return
	}
	d.kTenant.Append(s.Tenant)
	d.kService.Append(s.Service)
	d.kID = append(d.kID, layout.ID(id))
	for _, f := range dict.Stacks[stack] {
		*d.kLocations.data = append(*d.kLocations.data, layout.ID(dict.FrameIDs[f]))
		d.addFrame(s.Tenant, dict.FrameIDs[f], &dict.Frames[f])
	}
	d.kLocations.end()
	d.kSeen.add(d.now)
}

func (d *dictionaries) addFrame(tenant string, id profile.ID, f *profile.Frame) {
	if !d.missing(&d.locations, tenant, "", id) {
		return
	}
	d.lTenant.Append(tenant)
	d.lID = append(d.lID, layout.ID(id))
	d.lFunction = append(d.lFunction, layout.ID(f.FunctionID))
	d.lAddress = append(d.lAddress, f.Address)
	d.lLine = append(d.lLine, f.Line)
	d.lMapping.Append(f.Mapping)
	d.lBuild.Append(f.BuildID)
	d.lType.Append(f.Type)
	d.lInlined = append(d.lInlined, flag(f.Inlined))
	d.lSeen.add(d.now)
	if f.FunctionID.IsZero() || !d.missing(&d.functions, tenant, "", f.FunctionID) {
		return
	}
	d.fTenant.Append(tenant)
	d.fID = append(d.fID, layout.ID(f.FunctionID))
	d.fName.Append(f.Function.Name)
	d.fSystem.Append(f.Function.SystemName)
	d.fFile.Append(f.Function.Filename)
	d.fLine = append(d.fLine, f.Function.StartLine)
	d.fSeen.add(d.now)
}
