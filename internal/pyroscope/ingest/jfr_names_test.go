package ingest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What a JVM puts into names of classes that it makes differs from run to run.
func TestMerged(t *testing.T) {
	for symbol, want := range map[string]string{
		"Work$$Lambda$65+0x00007f0e95000a08/331418503":                 "Work$$Lambda_",
		"Work$$Lambda+0x00007f0e95000a08/331418503":                    "Work$$Lambda_",
		"Work$$Lambda$65/0x00007f0e95000a08":                           "Work$$Lambda_",
		"java.lang.invoke.LambdaForm$MH+0x00007fe8c800b000/1653844940": "java.lang.invoke.LambdaForm$MH_",
		"Work$1+0x00007fe8c800b000/1":                                  "Work$1_",
		"jdk/internal/reflect/GeneratedMethodAccessor31":               "jdk/internal/reflect/GeneratedMethodAccessor_",
		"Work$1": "Work$1",
		"+0x1":   "_",
		"":       "",
		"libasyncProfiler-linux-x64-17b9a1d8156277a98ccc871afa9a8f69215f92.so": "libasyncProfiler-_.so",
	} {
		assert.Equal(t, want, merged(symbol), symbol)
	}
}
