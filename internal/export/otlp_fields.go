package export

import "google.golang.org/protobuf/encoding/protowire"

// otlpField is a field of a message of OTLP, as protobuf and JSON know it.
type otlpField struct {
	number protowire.Number
	name   string
	// large is true for messages that grow with the export.
	large bool
}

// Fields of profiles.proto, common.proto and resource.proto,
// https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto.
var (
	dataResources  = otlpField{1, "resourceProfiles", true}
	dataDictionary = otlpField{2, "dictionary", true}

	dictionaryMappings   = otlpField{number: 1, name: "mappingTable"}
	dictionaryLocations  = otlpField{number: 2, name: "locationTable"}
	dictionaryFunctions  = otlpField{number: 3, name: "functionTable"}
	dictionaryLinks      = otlpField{number: 4, name: "linkTable"}
	dictionaryStrings    = otlpField{number: 5, name: "stringTable"}
	dictionaryAttributes = otlpField{number: 6, name: "attributeTable"}
	dictionaryStacks     = otlpField{number: 7, name: "stackTable"}

	resourceResource   = otlpField{number: 1, name: "resource"}
	resourceScopes     = otlpField{2, "scopeProfiles", true}
	resourceAttributes = otlpField{number: 1, name: "attributes"}
	keyValueKey        = otlpField{number: 1, name: "key"}
	keyValueValue      = otlpField{number: 2, name: "value"}
	valueString        = otlpField{number: 1, name: "stringValue"}
	valueBool          = otlpField{number: 2, name: "boolValue"}
	valueInt           = otlpField{number: 3, name: "intValue"}

	scopeScope    = otlpField{number: 1, name: "scope"}
	scopeProfiles = otlpField{2, "profiles", true}
	scopeName     = otlpField{number: 1, name: "name"}

	profileSampleType = otlpField{number: 1, name: "sampleType"}
	profileSamples    = otlpField{number: 2, name: "samples"}
	profileTime       = otlpField{number: 3, name: "timeUnixNano"}
	profileDuration   = otlpField{number: 4, name: "durationNano"}
	profilePeriodType = otlpField{number: 5, name: "periodType"}
	profilePeriod     = otlpField{number: 6, name: "period"}
	profileAttributes = otlpField{number: 11, name: "attributeIndices"}
	typeType          = otlpField{number: 1, name: "typeStrindex"}
	typeUnit          = otlpField{number: 2, name: "unitStrindex"}

	sampleStack      = otlpField{number: 1, name: "stackIndex"}
	sampleAttributes = otlpField{number: 2, name: "attributeIndices"}
	sampleNumbers    = otlpField{number: 4, name: "values"}

	otlpMappingFile        = otlpField{number: 4, name: "filenameStrindex"}
	otlpMappingAttributes  = otlpField{number: 5, name: "attributeIndices"}
	otlpLocationMapping    = otlpField{number: 1, name: "mappingIndex"}
	otlpLocationAddress    = otlpField{number: 2, name: "address"}
	otlpLocationLines      = otlpField{number: 3, name: "lines"}
	otlpLocationAttributes = otlpField{number: 4, name: "attributeIndices"}
	otlpLineFunction       = otlpField{number: 1, name: "functionIndex"}
	otlpLineLine           = otlpField{number: 2, name: "line"}
	otlpFunctionName       = otlpField{number: 1, name: "nameStrindex"}
	otlpFunctionSystem     = otlpField{number: 2, name: "systemNameStrindex"}
	otlpFunctionFile       = otlpField{number: 3, name: "filenameStrindex"}
	otlpFunctionLine       = otlpField{number: 4, name: "startLine"}
	attributeKey           = otlpField{number: 1, name: "keyStrindex"}
	attributeValue         = otlpField{number: 2, name: "value"}
	stackLocations         = otlpField{number: 1, name: "locationIndices"}
)

// otlpWriter writes messages field by field in one of the encodings of OTLP. Zero
// numbers are left out, which means the same. After an error it writes nothing
// more.
type otlpWriter interface {
	// list begins a repeated field, whose elements follow with the same field.
	list(f otlpField)
	endList()
	begin(f otlpField)
	end()
	// text is not left out if it is empty: it may be an element of a list.
	text(f otlpField, s string)
	// flag is true.
	flag(f otlpField)
	index(f otlpField, v int32)
	indices(f otlpField, v []int32)
	int(f otlpField, v int64)
	// number is int that does not leave out 0.
	number(f otlpField, v int64)
	uint(f otlpField, v uint64)
	time(f otlpField, v uint64)
	ints(f otlpField, v []int64)
	failed() bool
}
