package tenant

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestValidate(t *testing.T) {
	for _, good := range []string{"anonymous", "a", "Team-1_x.y*'()!", "...", strings.Repeat("a", MaxLength)} {
		assert.NoError(t, Validate(good), good)
	}
	for bad, want := range map[string]string{
		"":                               "must be a name",
		".":                              "must be a name",
		"..":                             "must be a name",
		strings.Repeat("a", MaxLength+1): "151 bytes long; the limit is 150",
		"a b":                            "offset 1",
		"a/b":                            "offset 1",
		"größe":                          "offset 2",
		"x\x00":                          "offset 1",
		"bad\xff":                        "offset 3",
		"a|b":                            "offset 1",
	} {
		assert.ErrorContains(t, Validate(bad), want, bad)
	}
}
