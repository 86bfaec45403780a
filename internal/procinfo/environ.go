package procinfo

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// Limits on attributes that a process has in its environment.
const (
	maxAttributes   = 64
	maxAttributeKey = 256
)

// resource returns what OpenTelemetry's SDKs would report for a process with
// this environment: the service name, empty if none is set, and the other
// resource attributes.
//
// Of a variable that is set twice the first one counts, as for getenv.
func resource(environ []byte) (service string, attrs []Attribute) {
	name, hasName := lookupEnv(environ, "OTEL_SERVICE_NAME=")
	list, _ := lookupEnv(environ, "OTEL_RESOURCE_ATTRIBUTES=")
	attrs = resourceAttributes(list)
	attrs = slices.DeleteFunc(attrs, func(a Attribute) bool {
		if a.Key == "service.name" {
			service = a.Value
		}
		return !foreign(a.Key)
	})
	if hasName && name != "" {
		service = clean(name)
	}
	return service, attrs
}

func lookupEnv(environ []byte, prefix string) (string, bool) {
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		if value, ok := bytes.CutPrefix(v, []byte(prefix)); ok {
			return string(value), true
		}
	}
	return "", false
}

// foreign reports whether the value of a process for an attribute is taken:
// what the collector knows itself is not overridden.
func foreign(key string) bool {
	switch key {
	case "service.name", "container.id", "container.runtime", "k8s.pod.uid":
		return false
	}
	for _, p := range []string{"process.", "host.", "aperture."} {
		if strings.HasPrefix(key, p) {
			return false
		}
	}
	return true
}

// resourceAttributes parses the value of OTEL_RESOURCE_ATTRIBUTES, see
// https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable:
// key=value pairs with commas in between, keys and values percent-encoded. As
// the specification demands, a value with any error in it is discarded as a
// whole. Of a key that occurs twice the last value counts.
func resourceAttributes(list string) []Attribute {
	if strings.TrimSpace(list) == "" {
		return nil
	}
	var attrs []Attribute
	for pair := range strings.SplitSeq(list, ",") {
		pair = strings.TrimSpace(pair)
		if pair == "" { // a comma at the end
			continue
		}
		k, v, ok := strings.Cut(pair, "=")
		if !ok {
			return nil
		}
		key, err := url.PathUnescape(strings.TrimSpace(k))
		if err != nil || key == "" {
			return nil
		}
		value, err := url.PathUnescape(strings.TrimSpace(v))
		if err != nil {
			return nil
		}
		if len(key) > maxAttributeKey || len(attrs) >= maxAttributes {
			continue
		}
		attrs = append(attrs, Attribute{clean(key), clean(value)})
	}
	slices.Reverse(attrs)
	slices.SortStableFunc(attrs, func(a, b Attribute) int { return cmp.Compare(a.Key, b.Key) })
	return slices.CompactFunc(attrs, func(a, b Attribute) bool { return a.Key == b.Key })
}
