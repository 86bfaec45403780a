// Package chunktable creates the table chunks.
package chunktable

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/ClickHouse/ch-go"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
)

// Name is that of the table.
const Name = "chunks"

//go:embed chunks.sql
var script string

// Create makes the table, unless it is there, in a database that is.
func Create(ctx context.Context, pool *chconn.Pool, o schema.Options) error {
	statements, err := o.Render(Name, script)
	if err != nil {
		return fmt.Errorf("render table %s: %w", Name, err)
	}
	for _, s := range statements {
		if err := pool.Do(ctx, chconn.Query{Query: ch.Query{Body: s}}); err != nil {
			return fmt.Errorf("create table %s: %w", Name, err)
		}
	}
	return nil
}
