package benchkit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// Query runs a statement over the HTTP interface of ClickHouse and calls row with
// the columns of each row of the answer, as TabSeparated writes them (strings
// escaped). row may be nil.
func Query(ctx context.Context, ep chserver.Endpoint, sql string, row func(columns []string) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+ep.HTTPAddr+"/", strings.NewReader(sql))
	if err != nil {
		return err
	}
	req.SetBasicAuth(ep.Username, ep.Password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("query ClickHouse: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return fmt.Errorf("query ClickHouse: status %s: %s", resp.Status, text)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if row == nil {
			continue
		}
		if err := row(strings.Split(lines.Text(), "\t")); err != nil {
			return err
		}
	}
	return lines.Err()
}

// QueryUint returns the only number of the answer.
func QueryUint(ctx context.Context, ep chserver.Endpoint, sql string) (n uint64, err error) {
	err = Query(ctx, ep, sql, func(columns []string) error {
		_, err := fmt.Sscan(columns[0], &n)
		return err
	})
	return n, err
}
