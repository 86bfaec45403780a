package pyroscopeapiextension

import (
	"cmp"
	"slices"
	"strings"

	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// valid returns text as UTF-8, which protobuf and JSON demand.
func valid(text string) string { return strings.ToValidUTF8(text, "\ufffd") }

func comparePairs(a, b *typesv1.LabelPair) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
}

func compareLabels(a, b []*typesv1.LabelPair) int { return slices.CompareFunc(a, b, comparePairs) }

// labelKey is equal for equal labels.
func labelKey(list []*typesv1.LabelPair) string {
	var b []byte
	for _, p := range list {
		b = profile.AppendString(profile.AppendString(b, p.Name), p.Value)
	}
	return string(b)
}

// labelSets are different ones.
type labelSets struct {
	seen map[string]struct{}
	sets []*typesv1.Labels
}

func newLabelSets() *labelSets { return &labelSets{seen: make(map[string]struct{})} }

// add adds a set unless it is empty or there already.
func (s *labelSets) add(list []*typesv1.LabelPair) {
	if len(list) == 0 {
		return
	}
	key := labelKey(list)
	if _, ok := s.seen[key]; ok {
		return
	}
	s.seen[key] = struct{}{}
	s.sets = append(s.sets, &typesv1.Labels{Labels: list})
}

func (s *labelSets) sorted() []*typesv1.Labels {
	slices.SortFunc(s.sets, func(a, b *typesv1.Labels) int { return compareLabels(a.Labels, b.Labels) })
	return s.sets
}
