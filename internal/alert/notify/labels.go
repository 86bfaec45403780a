package notify

import (
	"maps"
	"slices"
	"strings"
)

// renamed is put before a name that is taken, as Prometheus does.
const renamed = "exported_"

// setLabels adds pairs to labels under names that Alertmanager takes in every
// version. A name that is already there is kept, and the new one gets another:
// the same pairs always get the same names, since names identify alerts.
func setLabels(labels, pairs map[string]string) {
	names := slices.Sorted(maps.Keys(pairs))
	// Names that are right as they are come first.
	slices.SortStableFunc(names, func(a, b string) int {
		return changed(a) - changed(b)
	})
	for _, name := range names {
		value := strings.ToValidUTF8(pairs[name], "\uFFFD")
		if value == "" {
			continue // Alertmanager takes empty labels as if they were not there
		}
		as := labelName(name)
		for taken(labels, as) {
			as = renamed + as
		}
		labels[as] = value
	}
}

func taken(labels map[string]string, name string) bool {
	_, ok := labels[name]
	return ok
}

func changed(name string) int {
	if labelName(name) == name {
		return 0
	}
	return 1
}

// labelName makes a label name, [a-zA-Z_][a-zA-Z0-9_]*, of any text.
func labelName(s string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, s)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}
