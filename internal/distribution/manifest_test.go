package distribution

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gopkg.in/yaml.v3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	root   = "../.."
	module = "github.com/aperture-collector/aperture-collector"
)

var kinds = []string{"receiver", "processor", "exporter", "extension"}

// entry is a component of the manifest.
type entry struct {
	GoMod  string `yaml:"gomod"`
	Import string `yaml:"import"`
	Path   string `yaml:"path"`
}

type manifest struct {
	Dist struct {
		OutputPath string `yaml:"output_path"`
		CGO        bool   `yaml:"cgo_enabled"`
	} `yaml:"dist"`
	Receivers  []entry `yaml:"receivers"`
	Processors []entry `yaml:"processors"`
	Exporters  []entry `yaml:"exporters"`
	Extensions []entry `yaml:"extensions"`
}

func readYAML(t *testing.T, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(b, v), file)
}

// folders returns our components as kind/name.
func folders(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, kind := range kinds {
		dirs, err := filepath.Glob(filepath.Join(root, kind, "*", "metadata.yaml"))
		require.NoError(t, err)
		for _, d := range dirs {
			out = append(out, path.Join(kind, filepath.Base(filepath.Dir(d))))
		}
	}
	sort.Strings(out)
	return out
}

func TestManifestHasEveryComponent(t *testing.T) {
	var m manifest
	readYAML(t, filepath.Join(root, "builder-config.yaml"), &m)
	assert.Equal(t, "./dist", m.Dist.OutputPath)
	assert.False(t, m.Dist.CGO)
	var have []string
	for kind, entries := range map[string][]entry{
		"receiver": m.Receivers, "processor": m.Processors, "exporter": m.Exporters, "extension": m.Extensions,
	} {
		for _, e := range entries {
			if e.Path == "" {
				continue
			}
			assert.Equal(t, module+" v0.0.0", e.GoMod)
			assert.Equal(t, kind, path.Base(path.Dir(e.Import)))
			have = append(have, path.Join(kind, path.Base(e.Import)))
		}
	}
	sort.Strings(have)
	assert.Equal(t, folders(t), have)
}

func collector(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the built distribution")
	}
	file, err := filepath.Abs(filepath.Join(root, "dist", "aperture-collector"))
	require.NoError(t, err)
	_, err = os.Stat(file)
	require.NoError(t, err, "run make build")
	return file
}

// The built program has every component of ours and those of others that the
// configurations and users rely on.
func TestDistributionListsItsComponents(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), collector(t), "components").Output()
	require.NoError(t, err)
	type named struct {
		Name string `yaml:"name"`
	}
	var listed map[string]any
	require.NoError(t, yaml.Unmarshal(out, &listed))
	names := make(map[string]bool)
	for _, kind := range kinds {
		var section []named
		b, err := yaml.Marshal(listed[kind+"s"])
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(b, &section))
		for _, n := range section {
			names[kind+"/"+n.Name] = true
		}
	}
	for _, f := range folders(t) {
		var meta struct {
			Type string `yaml:"type"`
		}
		readYAML(t, filepath.Join(root, f, "metadata.yaml"), &meta)
		want := path.Dir(f) + "/" + meta.Type
		assert.True(t, names[want], "%s is not in %v", want, names)
	}
	for _, want := range []string{
		"receiver/otlp",
		"exporter/otlp_grpc", "exporter/otlp_http", "exporter/debug", "exporter/file", "exporter/prometheus", "exporter/clickhouse",
		"processor/memory_limiter", "processor/batch", "processor/resource", "processor/attributes", "processor/filter", "processor/transform", "processor/k8s_attributes",
		"extension/file_storage", "extension/health_check", "extension/pprof", "extension/bearertokenauth", "extension/basicauth", "extension/oidc",
	} {
		assert.True(t, names[want], "%s is not in %v", want, names)
	}
}

// Every shipped configuration is valid, alone and with what asks for a token.
func TestConfigurationsAreValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "config", "*.yaml"))
	require.NoError(t, err)
	found := 0
	for _, f := range files {
		overlay := "auth.yaml"
		switch filepath.Base(f) {
		case "auth.yaml", "agent-auth.yaml":
			continue
		case "agent.yaml":
			overlay = "agent-auth.yaml"
		}
		found++
		for _, args := range [][]string{nil, {"--config", filepath.Join(root, "config", overlay)}} {
			cmd := exec.CommandContext(t.Context(), collector(t), append([]string{"validate", "--config", f}, args...)...)
			cmd.Env = append(os.Environ(), "APERTURE_DATA_DIR="+t.TempDir(), "APERTURE_AUTH_TOKEN=token")
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, "%s %v: %s", f, args, out)
		}
	}
	assert.Equal(t, 4, found)
}
