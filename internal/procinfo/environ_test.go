package procinfo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestResource(t *testing.T) {
	type want struct {
		service string
		attrs   []Attribute
	}
	const attrs = "OTEL_RESOURCE_ATTRIBUTES="
	for environ, want := range map[string]want{
		"":                        {},
		"PATH=/bin\x00":           {},
		"OTEL_SERVICE_NAME=a\x00": {service: "a"},
		"OTEL_SERVICE_NAME=\x00":  {},
		"OTEL_SERVICE_NAME=a\xff": {service: "a?"},
		"OTEL_SERVICE_NAME=a%20b": {service: "a%20b"}, // only the other one is encoded
		"XOTEL_SERVICE_NAME=a":    {},
		"OTEL_SERVICE_NAME=a\x00OTEL_SERVICE_NAME=b": {service: "a"},
		attrs + "x=y":                      {attrs: []Attribute{{"x", "y"}}},
		attrs + "x=y, service.name=b,z=1,": {service: "b", attrs: []Attribute{{"x", "y"}, {"z", "1"}}},
		attrs + "service.name=b\x00OTEL_SERVICE_NAME=a\x00X=1": {service: "a"},
		attrs + "service.name=b\x00OTEL_SERVICE_NAME=\x00":     {service: "b"},
		attrs + "a=b=c,d=":                {attrs: []Attribute{{"a", "b=c"}, {"d", ""}}},
		attrs + "a=1%2C2%3D%25,b%20c=d+e": {attrs: []Attribute{{"a", "1,2=%"}, {"b c", "d+e"}}},
		attrs + "a=1,a=2":                 {attrs: []Attribute{{"a", "2"}}},
		attrs + "service.name=a,b=%zz":    {}, // one error spoils all
		attrs + "service.name=a,b":        {},
		attrs + "service.name=a,=b":       {},
		attrs + "process.pid=1,host.name=h,container.id=c,aperture.tenant.id=t,k8s.pod.uid=u,k8s.pod.name=n": {
			attrs: []Attribute{{"k8s.pod.name", "n"}},
		},
		attrs + "a=%ff": {attrs: []Attribute{{"a", "?"}}},
	} {
		service, got := resource([]byte(environ))
		assert.Equal(t, want.service, service, "%q", environ)
		assert.ElementsMatch(t, want.attrs, got, "%q", environ)
	}
}

func TestResourceAttributesAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "k%d=v,", i)
	}
	assert.Len(t, resourceAttributes(b.String()), maxAttributes)
	got := resourceAttributes(strings.Repeat("k", maxAttributeKey+1) + "=1,a=" + strings.Repeat("v", 2*maxAttribute))
	assert.Equal(t, []Attribute{{"a", strings.Repeat("v", maxAttribute)}}, got)
}

func FuzzResource(f *testing.F) {
	f.Add([]byte("OTEL_SERVICE_NAME=a\x00OTEL_RESOURCE_ATTRIBUTES=a=1%2C,service.name=x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		service, attrs := resource(b)
		if len(service) > 2*maxAttribute || len(attrs) > maxAttributes {
			t.Fatalf("%d bytes, %d attributes", len(service), len(attrs))
		}
		for i, a := range attrs {
			if !foreign(a.Key) || i > 0 && attrs[i-1].Key >= a.Key {
				t.Fatalf("%q after %v", a.Key, attrs[:i])
			}
		}
	})
}
