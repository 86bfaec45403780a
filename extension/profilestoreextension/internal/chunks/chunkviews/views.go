// Package chunkviews creates views of the table chunks with plain rows.
package chunkviews

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
)

//go:embed views.sql
var script string

// visible leaves out rows that do not count, as chunkrow.Visible does.
const visible = `(level = 2 OR (hour, id) NOT IN (SELECT hour, arrayJoin(covers) FROM TABLE WHERE level > 0 AND hour IN (SELECT hour FROM TABLE WHERE level < 2)))
    AND (hour, id, (written, nonce)) NOT IN (SELECT hour, id, arrayJoin(arraySlice(arraySort(groupArray((written, nonce))), 2)) FROM TABLE GROUP BY tenant, service, kind, hour, id HAVING count() > 1)`

// Create makes or renews the views in a database with the table.
func Create(ctx context.Context, pool *chconn.Pool, o schema.Options) error {
	table := o.Table(chunktable.Name)
	text := strings.NewReplacer(
		`{{ visible }}`, strings.ReplaceAll(visible, "TABLE", table),
		`{{ read "chunks" }}`, table,
		`{{ view "chunk_profiles" }}`, o.Table("chunk_profiles")+onCluster(o),
		`{{ view "chunk_stacks" }}`, o.Table("chunk_stacks")+onCluster(o),
	).Replace(script)
	statements, err := o.Render("views", text)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if err := pool.Do(ctx, chconn.Query{Query: ch.Query{Body: s}}); err != nil {
			return fmt.Errorf("create views of %s: %w", chunktable.Name, err)
		}
	}
	return nil
}

func onCluster(o schema.Options) string {
	if o.Cluster == "" {
		return ""
	}
	return " ON CLUSTER `" + o.Cluster + "`"
}
