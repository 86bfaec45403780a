package pyroscopeapiextension

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// The dashboard asks for what there can be, of the data source that is provisioned.
func TestGrafanaFiles(t *testing.T) {
	text, err := os.ReadFile("../../docs/grafana/datasource.yaml")
	require.NoError(t, err)
	var sources struct {
		Datasources []struct{ UID, Type, URL string }
	}
	require.NoError(t, yaml.Unmarshal(text, &sources))
	require.Len(t, sources.Datasources, 1)
	assert.Equal(t, "grafana-pyroscope-datasource", sources.Datasources[0].Type)

	text, err = os.ReadFile("../../docs/grafana/dashboard.json")
	require.NoError(t, err)
	type source struct{ UID, Type string }
	var dashboard struct {
		Panels []struct {
			Type, Title string
			Datasource  source
			Targets     []struct {
				Datasource                              source
				ProfileTypeID, LabelSelector, QueryType string
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	require.NotEmpty(t, dashboard.Panels)
	want := source{sources.Datasources[0].UID, sources.Datasources[0].Type}
	for _, p := range dashboard.Panels {
		assert.Equal(t, want, p.Datasource, p.Title)
		require.Len(t, p.Targets, 1)
		q := p.Targets[0]
		assert.Equal(t, want, q.Datasource, p.Title)
		_, err := selector.ParseTypeID(q.ProfileTypeID)
		require.NoError(t, err)
		_, err = selector.Parse(strings.ReplaceAll(q.LabelSelector, "$service", "app"))
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"timeseries": "metrics", "flamegraph": "profile"}[p.Type], q.QueryType)
	}
}
