package clickhousetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// Database returns the name of a database that does not exist yet on the server
// of Start, and drops it at the end of the test: what is tested creates it.
func Database(tb testing.TB) string {
	tb.Helper()
	server := Start(tb)
	name := "test_" + strings.ToLower(rand.Text())
	tb.Cleanup(func() {
		WaitReady(tb, server) // the test may just have killed it
		Exec(tb, server, "DROP DATABASE IF EXISTS "+name+" SYNC")
	})
	return name
}

// Exec runs one statement over HTTP and returns the answer without the newline at
// its end. It fails the test on an error.
func Exec(tb testing.TB, server *chserver.Server, statement string) string {
	tb.Helper()
	endpoint := server.Endpoint()
	answer, err := Query(endpoint, endpoint.Username, endpoint.Password, statement)
	if err != nil {
		tb.Fatalf("run %q: %v", statement, err)
	}
	return answer
}

// Query runs one statement over HTTP as the given user. A refused one gives an
// error with the text of the server.
func Query(endpoint chserver.Endpoint, user, password, statement string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+endpoint.HTTPAddr+"/", strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, strings.TrimSpace(string(body)))
	}
	return strings.TrimSuffix(string(body), "\n"), nil
}
