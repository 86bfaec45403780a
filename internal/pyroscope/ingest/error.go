package ingest

import (
	"errors"
	"fmt"
)

var (
	// ErrInvalid is the cause of errors about what a request says or holds.
	ErrInvalid = errors.New("invalid request")
	// ErrBody is the cause of errors about a body that is not of its format.
	ErrBody = errors.New("invalid body")
)

// Error is a refusal with the reason that it is counted under.
type Error struct {
	// Reason is one of the Reason constants.
	Reason  string
	message string
	cause   error
}

// Reasons of refusals.
const (
	ReasonName       = "name"
	ReasonType       = "type"
	ReasonFormat     = "format"
	ReasonLabels     = "labels"
	ReasonTooLarge   = "too_large"
	ReasonTime       = "time"
	ReasonUnassigned = "profile_id"
)

// Error returns the text for the client.
func (e *Error) Error() string { return e.message }

// Unwrap returns [ErrInvalid] or [ErrBody].
func (e *Error) Unwrap() error { return e.cause }

func invalid(reason, format string, args ...any) error {
	return &Error{reason, fmt.Sprintf(format, args...), ErrInvalid}
}

func badBody(format string, args ...any) error {
	return &Error{ReasonFormat, fmt.Sprintf(format, args...), ErrBody}
}

// tooLarge is about a limit that a profile is beyond.
func tooLarge(format string, args ...any) error {
	return &Error{ReasonTooLarge, fmt.Sprintf(format, args...), ErrInvalid}
}
