-- What the rows of the first migration refer to by content hash. A row may be
-- there several times; all are equal but for last_seen.
CREATE TABLE IF NOT EXISTS {{ table "series" }}
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    series UInt128 CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    last_seen DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = {{ engine "ReplacingMergeTree" "last_seen" }}
ORDER BY (tenant, service, series)
TTL {{ ttl "series" }}
SETTINGS {{ durable }}, materialize_ttl_recalculate_only = 1;
{{ distributed "series" "cityHash64(tenant, service)" }}

CREATE TABLE IF NOT EXISTS {{ table "attribute_sets" }}
(
    tenant LowCardinality(String),
    id UInt128 CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    last_seen DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = {{ engine "ReplacingMergeTree" "last_seen" }}
ORDER BY (tenant, id)
TTL {{ ttl "attribute_sets" }}
SETTINGS {{ durable }}, materialize_ttl_recalculate_only = 1;
{{ distributed "attribute_sets" "cityHash64(tenant, id)" }}

CREATE TABLE IF NOT EXISTS {{ table "stacks" }}
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    stack UInt128 CODEC(ZSTD(1)),
    locations Array(UInt128) CODEC(ZSTD(1)),
    last_seen DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = {{ engine "ReplacingMergeTree" "last_seen" }}
ORDER BY (tenant, service, stack)
TTL {{ ttl "stacks" }}
SETTINGS {{ durable }}, index_granularity = 1024, materialize_ttl_recalculate_only = 1;
{{ distributed "stacks" "cityHash64(tenant, service)" }}

CREATE TABLE IF NOT EXISTS {{ table "locations" }}
(
    tenant LowCardinality(String),
    location UInt128 CODEC(ZSTD(1)),
    function UInt128 CODEC(ZSTD(1)),
    address UInt64 CODEC(T64, ZSTD(1)),
    line Int64 CODEC(T64, ZSTD(1)),
    mapping LowCardinality(String),
    build_id LowCardinality(String),
    type LowCardinality(String),
    inlined UInt8 CODEC(ZSTD(1)),
    last_seen DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = {{ engine "ReplacingMergeTree" "last_seen" }}
ORDER BY (tenant, location)
TTL {{ ttl "locations" }}
SETTINGS {{ durable }}, index_granularity = 1024, materialize_ttl_recalculate_only = 1;
{{ distributed "locations" "cityHash64(tenant, location)" }}

CREATE TABLE IF NOT EXISTS {{ table "functions" }}
(
    tenant LowCardinality(String),
    function UInt128 CODEC(ZSTD(1)),
    name String CODEC(ZSTD(1)),
    system_name String CODEC(ZSTD(1)),
    filename String CODEC(ZSTD(1)),
    start_line Int64 CODEC(T64, ZSTD(1)),
    last_seen DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = {{ engine "ReplacingMergeTree" "last_seen" }}
ORDER BY (tenant, function)
TTL {{ ttl "functions" }}
SETTINGS {{ durable }}, index_granularity = 1024, materialize_ttl_recalculate_only = 1;
{{ distributed "functions" "cityHash64(tenant, function)" }}
