package chaos

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(closeIdle{m})
}

// closeIdle runs tests and closes what the default HTTP client keeps open.
type closeIdle struct{ *testing.M }

func (c closeIdle) Run() int {
	defer http.DefaultClient.CloseIdleConnections()
	return c.M.Run()
}
