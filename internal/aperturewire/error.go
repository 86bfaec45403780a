package aperturewire

import (
	"errors"
	"fmt"
	"strconv"
)

// Causes of a [DecodeError], for errors.Is.
var (
	// ErrTruncated means that the payload ends within a field.
	ErrTruncated = errors.New("payload ends too early")
	// ErrTooLong means that a length exceeds what the rest of the payload can hold.
	ErrTooLong = errors.New("length exceeds the rest of the payload")
	// ErrInvalid means that a field has a value that it cannot have.
	ErrInvalid = errors.New("invalid value")
	// ErrNotUTF8 means that a string is not valid UTF-8.
	ErrNotUTF8 = errors.New("string is not valid UTF-8")
	// ErrTrailing means that there are bytes after a message of the legacy schema.
	ErrTrailing = errors.New("bytes after the message")
)

// DecodeError says where a payload could not be decoded, and why.
type DecodeError struct {
	// Offset is the position in the payload, in bytes, of what was wrong.
	Offset int
	// Event is the index of the event, -1 in the header of the message.
	Event int
	// Field is the name of the field as in the package documentation.
	Field string
	// Err is one of the causes above.
	Err error
	// Value and Limit are what was read (or, of a truncated payload, how many
	// bytes were needed) and the most that would have been accepted.
	Value, Limit uint64
	// Legacy says why the payload is not one of the legacy schema either. It is
	// nil if both schemas fail alike.
	Legacy *DecodeError
}

// Error describes the error with field, offset, value and limit.
func (e *DecodeError) Error() string {
	msg := "decode payload: " + e.describe()
	if e.Legacy != nil {
		msg += " (as legacy schema: " + e.Legacy.describe() + ")"
	}
	return msg
}

func (e *DecodeError) describe() string {
	where := e.Field
	if e.Event >= 0 {
		where = "event " + strconv.Itoa(e.Event) + " " + e.Field
	}
	msg := fmt.Sprintf("%s at offset %d: %v", where, e.Offset, e.Err)
	switch e.Err {
	case ErrTruncated:
		return msg + fmt.Sprintf(": %d bytes needed, %d left", e.Value, e.Limit)
	case ErrNotUTF8:
		return msg
	}
	return msg + fmt.Sprintf(": found %d, the limit is %d", e.Value, e.Limit)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }
