-- What was asked to be deleted, and how far that is: a row for each time that
-- something was written down. states are 0 pending, 1 running, 2 purging and 3 done;
-- a job has the highest, and the figures of the newest row with it. Its cut is the
-- lowest, if it was inserted twice; fence_ms is after when compacted rows have nothing
-- of it, and hidden_ms when nothing of it was seen any more. Times are Unix
-- milliseconds.
CREATE TABLE IF NOT EXISTS {{ table "data_jobs" }}
(
    tenant String,
    id String,
    scope LowCardinality(String),
    name String,
    state UInt8,
    cut_ms Int64 DEFAULT toUnixTimestamp64Milli(now64(3)),
    fence_ms Int64,
    hidden_ms Int64,
    rows_done UInt64,
    rows_left UInt64,
    bytes_left UInt64,
    error String CODEC(ZSTD(1)),
    written DateTime64(9, 'UTC') DEFAULT now64(9)
)
ENGINE = {{ engine "MergeTree" }}
ORDER BY (tenant, id)
TTL {{ ttl "data_jobs" }}
SETTINGS {{ durable }}, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "data_jobs" "cityHash64(tenant)" }}
