package notify

import (
	"net/http"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// when says when a request that failed is worth another try.
type when int

const (
	soon  when = iota // the receiver is away or busy
	later             // somebody has to change something first
	never             // the receiver does not want this body
)

// failure is why a request failed. It wraps alert.ErrPermanent if another try is
// of no use.
type failure struct {
	when  when
	after time.Duration // the receiver asks to wait for it
	err   error
}

// Error implements error.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns the causes.
func (f *failure) Unwrap() []error {
	if f.when == never {
		return []error{f.err, alert.ErrPermanent}
	}
	return []error{f.err}
}

// whenAfter says when to try again after a status other than 2xx.
//
// What is wrong with the address, the credentials or the receiver itself is put
// right by people, and until then no alert is lost; what is wrong with the body
// stays wrong.
func whenAfter(status int) when {
	switch {
	case status >= 500,
		status == http.StatusRequestTimeout,
		status == http.StatusTooEarly,
		status == http.StatusTooManyRequests:
		return soon
	case status < 400,
		status == http.StatusUnauthorized,
		status == http.StatusPaymentRequired,
		status == http.StatusForbidden,
		status == http.StatusNotFound,
		status == http.StatusMethodNotAllowed,
		status == http.StatusProxyAuthRequired,
		status == http.StatusMisdirectedRequest:
		return later
	}
	return never
}
