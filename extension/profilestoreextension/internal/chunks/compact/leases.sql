-- Who compacts. The newest row says it, until ttl_ms after it was written. That is
-- not safe against two at once, and need not be: it saves work.
CREATE TABLE IF NOT EXISTS {{ table "chunk_leases" }}
(
    holder String,
    ttl_ms UInt64,
    written DateTime64(9, 'UTC') DEFAULT now64(9)
)
ENGINE = {{ engine "MergeTree" }}
ORDER BY written
TTL toDateTime(written) + INTERVAL 1 HOUR
SETTINGS {{ dedup }};
{{ distributed "chunk_leases" "0" }}
