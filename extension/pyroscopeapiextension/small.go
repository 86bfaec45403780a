package pyroscopeapiextension

import (
	"context"
	"fmt"
	"net/http"
	"runtime"

	"connectrpc.com/connect"
	capabilitiesv1 "github.com/grafana/pyroscope/api/gen/proto/go/capabilities/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/capabilities/v1/capabilitiesv1connect"
	statusv1 "github.com/grafana/pyroscope/api/gen/proto/go/status/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/status/v1/statusv1connect"
	versionv1 "github.com/grafana/pyroscope/api/gen/proto/go/version/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/version/v1/versionv1connect"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// small answers the services that say what the server is.
type small struct {
	statusv1connect.UnimplementedStatusServiceHandler // configurations are not told
	api                                               *api
}

var (
	_ versionv1connect.VersionHandler                  = (*small)(nil)
	_ capabilitiesv1connect.FeatureFlagsServiceHandler = (*small)(nil)
	_ statusv1connect.StatusServiceHandler             = (*small)(nil)
)

// Version says which version of the querier's API there is.
func (*small) Version(context.Context, *connect.Request[versionv1.VersionRequest]) (*connect.Response[versionv1.VersionResponse], error) {
	return connect.NewResponse(&versionv1.VersionResponse{QuerierAPI: 1}), nil
}

// GetFeatureFlags lists no features: those that have flags are of Pyroscope's inside.
func (*small) GetFeatureFlags(context.Context, *connect.Request[capabilitiesv1.GetFeatureFlagsRequest]) (*connect.Response[capabilitiesv1.GetFeatureFlagsResponse], error) {
	return connect.NewResponse(&capabilitiesv1.GetFeatureFlagsResponse{}), nil
}

// GetBuildInfo says which program answers.
func (s *small) GetBuildInfo(context.Context, *connect.Request[statusv1.GetBuildInfoRequest]) (*connect.Response[statusv1.GetBuildInfoResponse], error) {
	return connect.NewResponse(&statusv1.GetBuildInfoResponse{Status: "success", Data: &statusv1.GetBuildInfoData{
		Version: s.api.build.Version, GoVersion: runtime.Version(),
	}}), nil
}

// buildInfo is [small.GetBuildInfo] without the protocol.
func (a *api) buildInfo(w http.ResponseWriter, _ *http.Request) {
	type data struct {
		Version   string `json:"version"`
		Revision  string `json:"revision"`
		Branch    string `json:"branch"`
		BuildUser string `json:"buildUser"`
		BuildDate string `json:"buildDate"`
		GoVersion string `json:"goVersion"`
	}
	sendJSON(w, struct {
		Status string `json:"status"`
		Data   data   `json:"data"`
	}{"success", data{Version: a.build.Version, GoVersion: runtime.Version()}})
}

// readyz answers GET /ready.
func (a *api) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := a.store.Ready(); err != nil {
		w.Header().Set("Retry-After", "1")
		sendText(w, http.StatusServiceUnavailable, fmt.Sprintf("not ready: %s\n", err))
		return
	}
	sendText(w, http.StatusOK, "ready\n")
}

// labelValues answers GET /pyroscope/label-values. Values of `__name__` are profile
// types.
func (a *api) labelValues(w http.ResponseWriter, r *http.Request) {
	a.answer(w, r, "label_values", func(ctx context.Context, tenant string) (func(http.ResponseWriter), error) {
		name := r.URL.Query().Get("label")
		if name == "" {
			return nil, selector.Invalid("label is required")
		}
		if err := checkNames("label", []string{name}); err != nil {
			return nil, err
		}
		if name == selector.LabelName {
			name = selector.LabelProfileType
		}
		q, err := a.askLabels(ctx, tenant, nil, timeRange{})
		if err != nil {
			return nil, err
		}
		values, err := a.listValues(ctx, q, name)
		if values == nil {
			values = []string{}
		}
		return func(w http.ResponseWriter) { sendJSON(w, values) }, err
	})
}
