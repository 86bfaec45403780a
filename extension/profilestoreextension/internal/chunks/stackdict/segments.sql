-- The stacks of a service by numbers, see docs/adr/0013-stack-dictionaries.md. A
-- dictionary has one author, so that a row is never changed or written by another;
-- one that is there twice is the same. Numbers count from 1 through the rows of a
-- dictionary in order of seq; 0 is the root of the tree, and the empty stack.
--
-- epoch is the week that the dictionary is written in. Rows of chunks which refer to
-- it are stored before the end of that: stored is a day later.
CREATE TABLE IF NOT EXISTS {{ table "stack_segments" }}
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    dictionary UInt64 CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    epoch DateTime('UTC') CODEC(ZSTD(1)),
    first UInt32 CODEC(ZSTD(1)),
    checksum UInt64 CODEC(NONE),
    -- Content hashes of the new locations.
    locations Array(UInt128) CODEC(NONE),
    -- The new nodes: how much less the number of the parent is, and the location.
    up Array(UInt32) CODEC(T64, ZSTD(1)),
    frames Array(UInt32) CODEC(T64, ZSTD(1)),
    -- The nodes of the new stacks.
    nodes Array(UInt32) CODEC(T64, ZSTD(1)),
    written DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(ZSTD(1)),
    stored DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = {{ engine "MergeTree" }}
PARTITION BY epoch
ORDER BY (tenant, service, dictionary, seq)
TTL {{ ttl "stack_segments" }}
SETTINGS {{ durable }}, index_granularity = 64, index_granularity_bytes = 1048576, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "stack_segments" "cityHash64(tenant, service)" }}
