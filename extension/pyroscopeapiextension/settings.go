package pyroscopeapiextension

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"connectrpc.com/connect"
	settingsv1 "github.com/grafana/pyroscope/api/gen/proto/go/settings/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/settings/v1/settingsv1connect"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/pyrotenant"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// settings answers settings.v1.SettingsService: what user interfaces remember of a
// tenant.
type settings struct {
	api *api
	mu  sync.Mutex // held while settings are changed
}

var _ settingsv1connect.SettingsServiceHandler = (*settings)(nil)

// Bounds of settings.
const (
	maxSettings     = 1000
	maxSettingName  = 256
	maxSettingValue = 64 << 10
)

// setting is one that is kept.
type setting struct {
	Name       string `json:"name"`
	Value      string `json:"value"`
	ModifiedAt int64  `json:"modified_at"` // milliseconds
}

func settingsKey(tenant string) string { return "settings/" + tenant }

func (s *settings) read(ctx context.Context, tenant string) (list []setting, err error) {
	text, err := s.api.keep.Get(ctx, settingsKey(tenant))
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if text != nil {
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fmt.Errorf("read settings: %w", err)
		}
	}
	return list, nil
}

func (s *settings) write(ctx context.Context, tenant string, list []setting) error {
	slices.SortFunc(list, func(a, b setting) int { return cmp.Compare(a.Name, b.Name) })
	text, err := json.Marshal(list)
	if err == nil {
		err = s.api.keep.Set(ctx, settingsKey(tenant), text)
	}
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// keptCall answers an RPC about what is kept that reads or writes a few small values.
func keptCall[Q, R any](ctx context.Context, a *api, operation string, req *connect.Request[Q], f func(tenant string, q *Q) (*R, error)) (*connect.Response[R], error) {
	tenant, err := pyrotenant.Of(req.Header(), a.cfg.Multitenancy)
	var out *R
	if err == nil {
		out, err = f(tenant, req.Msg)
	}
	if err != nil {
		return nil, a.failed(ctx, operation, err).Connect()
	}
	return connect.NewResponse(out), nil
}

// Get lists all settings, sorted by name.
func (s *settings) Get(ctx context.Context, req *connect.Request[settingsv1.GetSettingsRequest]) (*connect.Response[settingsv1.GetSettingsResponse], error) {
	return keptCall(ctx, s.api, "settings", req, func(tenant string, _ *settingsv1.GetSettingsRequest) (*settingsv1.GetSettingsResponse, error) {
		list, err := s.read(ctx, tenant)
		out := &settingsv1.GetSettingsResponse{}
		for _, one := range list {
			out.Settings = append(out.Settings, &settingsv1.Setting{Name: one.Name, Value: one.Value, ModifiedAt: one.ModifiedAt})
		}
		return out, err
	})
}

// Set changes a setting, unless it was changed later than the client knows.
func (s *settings) Set(ctx context.Context, req *connect.Request[settingsv1.SetSettingsRequest]) (*connect.Response[settingsv1.SetSettingsResponse], error) {
	return keptCall(ctx, s.api, "settings", req, func(tenant string, q *settingsv1.SetSettingsRequest) (*settingsv1.SetSettingsResponse, error) {
		wanted := q.GetSetting()
		switch {
		case wanted.GetName() == "":
			return nil, selector.Invalid("setting.name is required")
		case len(wanted.GetName()) > maxSettingName:
			return nil, selector.Invalid("setting.name has %d bytes; the limit is %d", len(wanted.GetName()), maxSettingName)
		case len(wanted.GetValue()) > maxSettingValue:
			return nil, selector.Invalid("setting.value has %d bytes; the limit is %d", len(wanted.GetValue()), maxSettingValue)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		list, err := s.read(ctx, tenant)
		if err != nil {
			return nil, err
		}
		now := s.api.now().UnixMilli()
		at := slices.IndexFunc(list, func(one setting) bool { return one.Name == wanted.GetName() })
		switch {
		case at >= 0 && wanted.GetModifiedAt() != 0 && wanted.GetModifiedAt() < list[at].ModifiedAt:
			return nil, selector.Invalid("setting %q was changed at %d, after %d", wanted.GetName(), list[at].ModifiedAt, wanted.GetModifiedAt())
		case at >= 0:
		case len(list) >= maxSettings:
			return nil, selector.Invalid("there are %d settings; the limit is %d", len(list), maxSettings)
		default:
			at, list = len(list), append(list, setting{Name: wanted.GetName()})
		}
		list[at].Value, list[at].ModifiedAt = wanted.GetValue(), now
		if wanted.GetModifiedAt() != 0 {
			list[at].ModifiedAt = wanted.GetModifiedAt()
		}
		set := list[at]
		return &settingsv1.SetSettingsResponse{Setting: &settingsv1.Setting{Name: set.Name, Value: set.Value, ModifiedAt: set.ModifiedAt}}, s.write(ctx, tenant, list)
	})
}

// Delete takes a setting away, if it is there.
func (s *settings) Delete(ctx context.Context, req *connect.Request[settingsv1.DeleteSettingsRequest]) (*connect.Response[settingsv1.DeleteSettingsResponse], error) {
	return keptCall(ctx, s.api, "settings", req, func(tenant string, q *settingsv1.DeleteSettingsRequest) (*settingsv1.DeleteSettingsResponse, error) {
		if q.GetName() == "" {
			return nil, selector.Invalid("name is required")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		list, err := s.read(ctx, tenant)
		if err != nil {
			return nil, err
		}
		left := slices.DeleteFunc(list, func(one setting) bool { return one.Name == q.GetName() })
		return &settingsv1.DeleteSettingsResponse{}, s.write(ctx, tenant, left)
	})
}
