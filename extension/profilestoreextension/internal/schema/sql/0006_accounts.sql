{{ define "batches" -}}
ADD COLUMN IF NOT EXISTS window_id UInt64 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS hours Array(DateTime('UTC')) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS hour_events Array(UInt64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS missing UInt64 CODEC(ZSTD(1))
{{- end -}}
{{ define "chunks" -}}
ADD COLUMN IF NOT EXISTS batch_events UInt64 DEFAULT 18446744073709551615 CODEC(ZSTD(1))
{{- end -}}
-- What a window brought, to be compared with what is stored. One of the batches of
-- each tenant has it for all of the window, the others have the window_id 0: how many
-- observations begin in which hour, and how many its batches count beyond these.
ALTER TABLE {{ table "batches" }} {{ template "batches" }};
{{ if cluster }}ALTER TABLE {{ view "batches" }} {{ template "batches" }};
{{ end -}}
ALTER TABLE {{ table "batches" }} ADD INDEX IF NOT EXISTS stored_range stored TYPE minmax GRANULARITY 1;

-- How many of the events of a row batches account for. It is not known of rows that
-- do not say so: who wrote them did not know this column.
ALTER TABLE {{ table "chunks" }} {{ template "chunks" }};
{{ if cluster }}ALTER TABLE {{ view "chunks" }} {{ template "chunks" }};
{{ end -}}
