package cluster_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"gopkg.in/yaml.v3"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
)

// blocks returns the code of one language in a document.
func blocks(text, language string) (out []string) {
	for _, part := range strings.Split(text, "\n```"+language+"\n")[1:] {
		code, _, _ := strings.Cut(part, "\n```")
		out = append(out, code)
	}
	return out
}

// TestScalingDocs validates the configurations of docs/scaling.md.
func TestScalingDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "scaling.md"))
	require.NoError(t, err)
	clusters := 0
	all := blocks(string(text), "yaml")
	require.Len(t, all, 3)
	for _, code := range all {
		var raw map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(code), &raw), code)
		sub, err := confmap.NewFromStringMap(raw).Sub("extensions::profile_store")
		require.NoError(t, err)
		cfg := profilestoreextension.NewFactory().CreateDefaultConfig().(*profilestoreextension.Config)
		require.NoError(t, sub.Unmarshal(cfg), code)
		require.NoError(t, cfg.Validate(), code)
		if cfg.Cluster != "" {
			clusters++
		}
	}
	assert.Equal(t, 2, clusters)
	for _, code := range blocks(string(text), "xml") {
		d := xml.NewDecoder(strings.NewReader(code))
		for err = nil; err == nil; {
			_, err = d.Token()
		}
		require.True(t, errors.Is(err, io.EOF), "%v: %s", err, code)
	}
}
