package bearer

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, "Missing authorization header"},
		{"empty", []string{""}, "Missing Bearer prefix"},
		{"other scheme", []string{"Basic Og=="}, "Missing Bearer prefix"},
		{"lower case", []string{"bearer x"}, "Missing Bearer prefix"},
		{"no token", []string{"Bearer "}, "Invalid token"},
		{"wrong", []string{"Bearer x", "Bearer y"}, "Invalid token"},
		{"tab", []string{"Bearer \tx"}, "Invalid token"},
		{"latin", []string{"Bearer \xe9"}, "Invalid authorization header encoding"},
		{"UTF-8", []string{"Bearer é"}, "Invalid authorization header encoding"},
		{"delete", []string{"\x7f"}, "Invalid authorization header encoding"},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.want, Refusal(c.values)) })
	}
}
