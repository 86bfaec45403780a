package typemap

import "strings"

// LabelService is the label with the name of the service.
const LabelService = "service_name"

// AttrService is the attribute that it is in the pipelines and in the store.
const AttrService = "service.name"

// Attribute returns the attribute that a label of a push becomes. Dots are not in
// names of labels.
func Attribute(label string) string {
	if label == LabelService {
		return AttrService
	}
	return strings.ReplaceAll(label, ".", "_")
}

// Label returns the name under which clients see an attribute.
func Label(attribute string) string { return strings.ReplaceAll(attribute, ".", "_") }
