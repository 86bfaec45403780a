package selector

import (
	"fmt"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// invalidError is a fault of a request in the words that clients know.
type invalidError string

func (e invalidError) Error() string { return string(e) }
func (invalidError) Unwrap() error   { return profile.ErrInvalid }

// Invalid returns an error with exactly this text that wraps [profile.ErrInvalid].
func Invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }
