package pyroscopeapiextension

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// maxComments bounds the different lists of comments of an answer.
const maxComments = 1000

// comments returns the comments that the profiles came with, each once.
func (a *api) comments(ctx context.Context, q *stackQuery) ([]string, error) {
	if some, err := a.names.has(ctx, q.tenant, profile.AttrComment); err != nil || !some {
		return nil, err
	}
	sel, ok, err := a.selector(ctx, q)
	if err != nil || !ok {
		return nil, err
	}
	lists, err := a.store.LabelValues(ctx, sel, profile.AttrComment, maxComments)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, text := range lists {
		var list []string
		if json.Unmarshal([]byte(text), &list) != nil {
			list = []string{text} // others may have sent a single one
		}
		for _, c := range list {
			if c = valid(c); c != "" && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out, nil
}
