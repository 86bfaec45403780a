package profilestore

import (
	"context"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Writer stores groups of profiles. It is safe for concurrent use.
type Writer interface {
	// Write stores all of w durably and once: a Write that is repeated with an
	// equal Token, by this or by another process, after whatever failure,
	// changes nothing. It returns nil only when everything is stored. After it
	// returns, nothing of w is used.
	//
	// Errors that wrap [profile.ErrInvalid] are permanent; all others, also
	// those that wrap [ErrUnavailable], are worth a retry.
	Write(ctx context.Context, w *Window) error
}

// Window is what one Write stores.
type Window struct {
	// Token identifies the content for deduplication. It must be the same for
	// every retry and different for different windows.
	Token profile.ID
	// Groups come from [profile.Split] or are made alike.
	Groups *profile.Groups
}
