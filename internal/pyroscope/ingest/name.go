package ingest

import (
	"strings"
	"unicode/utf8"
)

// Label is a label of a series.
type Label struct{ Name, Value string }

// parseName reads the parameter name, `service{key=value,key=value}`. The last of
// labels with the same name wins.
func parseName(text string) (application string, labels []Label, err error) {
	application, rest, hasLabels := strings.Cut(text, "{")
	application = strings.TrimSpace(application)
	if hasLabels {
		if labels, err = parseLabels(rest); err != nil {
			return "", nil, err
		}
	}
	for _, l := range labels {
		if l.Name == labelName {
			application = l.Value
		}
	}
	if application == "" {
		return "", nil, invalid(ReasonName, "name: service name is required")
	}
	for _, r := range application {
		if !isNameRune(r) && r != '-' && r != '/' {
			return "", nil, invalid(ReasonName, "name: invalid service name: %.256s: character is not allowed: %q", strings.ToValidUTF8(application, "\ufffd"), r)
		}
	}
	return application, labels, nil
}

// parseLabels reads what follows the brace. A value ends at a comma or a brace; a
// pair that no brace closes is as good as others.
func parseLabels(text string) ([]Label, error) {
	text, _, _ = strings.Cut(text, "}")
	if !utf8.ValidString(text) {
		return nil, invalid(ReasonName, "name: labels are not valid UTF-8")
	}
	var labels []Label
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, ",")
		key, value, ok := strings.Cut(pair, "=")
		if key = strings.TrimSpace(key); !ok && key == "" {
			continue
		}
		if err := checkLabelName(key); err != nil {
			return nil, err
		}
		if !ok {
			return nil, invalid(ReasonName, "name: label %s has no value", key)
		}
		labels = setLabel(labels, key, strings.TrimSpace(value))
	}
	return labels, nil
}

func checkLabelName(key string) error {
	if key == "" {
		return invalid(ReasonName, "name: label key is required")
	}
	for _, r := range key {
		if !isNameRune(r) {
			return invalid(ReasonName, "name: invalid label key: %.256s: character is not allowed: %q", key, r)
		}
	}
	return nil
}

func isNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '.'
}

// setLabel sets the value of a label.
func setLabel(labels []Label, name, value string) []Label {
	for i := range labels {
		if labels[i].Name == name {
			labels[i].Value = value
			return labels
		}
	}
	return append(labels, Label{name, value})
}

// find returns the value of a label.
func find(labels []Label, name string) (string, bool) {
	for i := range labels {
		if labels[i].Name == name {
			return labels[i].Value, true
		}
	}
	return "", false
}
