package alert

import "errors"

// ErrPermanent is the cause of errors of a [Notifier] which say that the events
// that were not taken never will be: sending them again is of no use.
var ErrPermanent = errors.New("refused for good")
