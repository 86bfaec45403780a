-- The first layout had tables here for observations (profiles) and hourly sums
-- (stack_hours, kind_hours). Package firstlayout moves what they hold to chunks and
-- drops them.

-- The ingest batches as agents sent them.
CREATE TABLE IF NOT EXISTS {{ table "batches" }}
(
    tenant LowCardinality(String),
    received_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    agent_id LowCardinality(String),
    sequence UInt64 CODEC(Delta(8), ZSTD(1)),
    event_count UInt64 CODEC(T64, ZSTD(1)),
    stored DateTime('UTC') CODEC(ZSTD(1)),
    INDEX agents agent_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = {{ engine "MergeTree" }}
PARTITION BY toMonday(received_at)
ORDER BY (tenant, received_at, agent_id, sequence)
TTL {{ ttl "batches" }}
SETTINGS {{ durable }}, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "batches" "cityHash64(tenant, agent_id)" }}
