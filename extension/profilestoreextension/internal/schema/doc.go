// Package schema owns the tables of the profile store: numbered migrations in
// sql/, which are templates so that one text serves a single server and a
// cluster, and the retention of every table.
package schema
