package pyroscopeapiextension

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"connectrpc.com/connect"
	adhocv1 "github.com/grafana/pyroscope/api/gen/proto/go/adhocprofiles/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/adhocprofiles/v1/adhocprofilesv1connect"

	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// adhoc answers adhocprofiles.v1.AdHocProfileService: profiles that are looked at and
// belong to no service.
type adhoc struct {
	api *api
	mu  sync.Mutex // held while the list of profiles is changed
}

var _ adhocprofilesv1connect.AdHocProfileServiceHandler = (*adhoc)(nil)

// Bounds of ad hoc profiles.
const (
	maxAdhoc     = 100 // of a tenant
	maxAdhocName = 256
	// maxAdhocBytes is the largest profile, as it is sent and inflated.
	maxAdhocBytes = 16 << 20
	// maxAdhocMessage leaves room for the profile in base64.
	maxAdhocMessage = maxAdhocBytes/3*4 + 64<<10
)

// adhocEntry is a profile in the list.
type adhocEntry struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	UploadedAt int64  `json:"uploaded_at"` // milliseconds
}

func adhocListKey(tenant string) string { return "adhoc/" + tenant }

func adhocKey(tenant, id string) string { return "adhoc/" + tenant + "/" + id }

func (s *adhoc) read(ctx context.Context, tenant string) (list []adhocEntry, err error) {
	text, err := s.api.keep.Get(ctx, adhocListKey(tenant))
	if err == nil && text != nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read list of ad hoc profiles: %w", err)
	}
	return list, nil
}

// Upload keeps a profile and answers what is in it.
func (s *adhoc) Upload(ctx context.Context, req *connect.Request[adhocv1.AdHocProfilesUploadRequest]) (*connect.Response[adhocv1.AdHocProfilesGetResponse], error) {
	return call(ctx, s.api, "adhoc_upload", req, func(ctx context.Context, tenant string, q *adhocv1.AdHocProfilesUploadRequest) (*adhocv1.AdHocProfilesGetResponse, error) {
		switch name := q.GetName(); {
		case name == "":
			return nil, selector.Invalid("name is required")
		case len(name) > maxAdhocName:
			return nil, selector.Invalid("name has %d bytes; the limit is %d", len(name), maxAdhocName)
		}
		data, err := base64.StdEncoding.DecodeString(q.GetProfile())
		if err != nil {
			return nil, selector.Invalid("profile is not in base64: %s", err)
		}
		file, err := readFile(data)
		if err != nil {
			return nil, err
		}
		entry := adhocEntry{ID: rand.Text(), Name: q.GetName(), UploadedAt: s.api.now().UnixMilli()}
		out, err := s.answer(&entry, file, "", q.GetMaxNodes())
		if err != nil {
			return nil, err
		}
		return out, s.add(ctx, tenant, entry, data)
	})
}

// add keeps a profile. The list names it only when it is kept. If there are too many,
// the oldest goes.
func (s *adhoc) add(ctx context.Context, tenant string, entry adhocEntry, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.read(ctx, tenant)
	if err != nil {
		return err
	}
	list = append(list, entry)
	gone := list[:max(len(list)-maxAdhoc, 0)]
	text, err := json.Marshal(list[len(gone):])
	if err != nil {
		return fmt.Errorf("write list of ad hoc profiles: %w", err)
	}
	key := adhocKey(tenant, entry.ID)
	if err := s.api.keep.Set(ctx, key, data); err != nil {
		return fmt.Errorf("keep ad hoc profile: %w", err)
	}
	if err := s.api.keep.Set(ctx, adhocListKey(tenant), text); err != nil {
		return errors.Join(fmt.Errorf("write list of ad hoc profiles: %w", err), s.api.keep.Delete(ctx, key))
	}
	for _, old := range gone {
		if err := s.api.keep.Delete(ctx, adhocKey(tenant, old.ID)); err != nil {
			return fmt.Errorf("delete the oldest ad hoc profile: %w", err)
		}
	}
	return nil
}

// Get answers one sample type of a profile.
func (s *adhoc) Get(ctx context.Context, req *connect.Request[adhocv1.AdHocProfilesGetRequest]) (*connect.Response[adhocv1.AdHocProfilesGetResponse], error) {
	return call(ctx, s.api, "adhoc_get", req, func(ctx context.Context, tenant string, q *adhocv1.AdHocProfilesGetRequest) (*adhocv1.AdHocProfilesGetResponse, error) {
		entry, file, err := s.find(ctx, tenant, q.GetId())
		if err != nil {
			return nil, err
		}
		return s.answer(entry, file, q.GetProfileType(), q.GetMaxNodes())
	})
}

func (s *adhoc) find(ctx context.Context, tenant, id string) (*adhocEntry, *adhocFile, error) {
	list, err := s.read(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(list, func(e adhocEntry) bool { return e.ID == id })
	if at < 0 {
		return nil, nil, fmt.Errorf("ad hoc profile %.64q: %w", id, profilestore.ErrNotFound)
	}
	data, err := s.api.keep.Get(ctx, adhocKey(tenant, id))
	if err != nil {
		return nil, nil, fmt.Errorf("read ad hoc profile: %w", err)
	}
	file, err := readFile(data)
	return &list[at], file, err
}

// answer draws a sample type, the first if none is named.
func (s *adhoc) answer(entry *adhocEntry, file *adhocFile, name string, asked int64) (*adhocv1.AdHocProfilesGetResponse, error) {
	nodes, err := s.api.cfg.nodes(asked)
	if err != nil {
		return nil, err
	}
	t, err := file.find(name)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(newRendered(t.tree().Graph(nodes), t.id, "single"))
	if err != nil {
		return nil, fmt.Errorf("write flame graph: %w", err)
	}
	return &adhocv1.AdHocProfilesGetResponse{
		Id: entry.ID, Name: entry.Name, UploadedAt: entry.UploadedAt,
		ProfileType: t.name, ProfileTypes: file.names(), FlamebearerProfile: string(text),
	}, nil
}

// List lists profiles, the newest first.
func (s *adhoc) List(ctx context.Context, req *connect.Request[adhocv1.AdHocProfilesListRequest]) (*connect.Response[adhocv1.AdHocProfilesListResponse], error) {
	return keptCall(ctx, s.api, "adhoc_list", req, func(tenant string, _ *adhocv1.AdHocProfilesListRequest) (*adhocv1.AdHocProfilesListResponse, error) {
		list, err := s.read(ctx, tenant)
		slices.SortStableFunc(list, func(a, b adhocEntry) int { return cmp.Compare(b.UploadedAt, a.UploadedAt) })
		out := &adhocv1.AdHocProfilesListResponse{}
		for _, e := range list {
			out.Profiles = append(out.Profiles, &adhocv1.AdHocProfilesProfileMetadata{Id: e.ID, Name: e.Name, UploadedAt: e.UploadedAt})
		}
		return out, err
	})
}

// Diff compares a sample type of two profiles.
func (s *adhoc) Diff(ctx context.Context, req *connect.Request[adhocv1.AdHocProfilesDiffRequest]) (*connect.Response[adhocv1.AdHocProfilesDiffResponse], error) {
	return call(ctx, s.api, "adhoc_diff", req, func(ctx context.Context, tenant string, q *adhocv1.AdHocProfilesDiffRequest) (*adhocv1.AdHocProfilesDiffResponse, error) {
		nodes, err := s.api.cfg.nodes(q.GetMaxNodes())
		if err != nil {
			return nil, err
		}
		_, left, err := s.find(ctx, tenant, q.GetLeftId())
		if err != nil {
			return nil, err
		}
		_, right, err := s.find(ctx, tenant, q.GetRightId())
		if err != nil {
			return nil, err
		}
		l, err := left.find(q.GetProfileType())
		if err != nil {
			return nil, err
		}
		r, err := right.find(l.name)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(newRendered(flamebearer.Compare(l.tree(), r.tree()).Graph(nodes), l.id, "double"))
		if err != nil {
			return nil, fmt.Errorf("write flame graph: %w", err)
		}
		names := slices.DeleteFunc(left.names(), func(name string) bool { return !slices.Contains(right.names(), name) })
		return &adhocv1.AdHocProfilesDiffResponse{ProfileTypes: names, FlamebearerProfile: string(text)}, nil
	})
}
