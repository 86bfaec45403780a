-- All profiles of a tenant, service, kind and hour that one window brought, or
-- that were made of several such rows, transposed; docs/adr/0011-chunk-format.md
-- describes the streams.
--
-- A row is ignored if its id is in covers of another row of the same tenant,
-- service, kind, types, period_type, period and hour. Only rows of higher levels
-- cover others. If there are several rows of one number (seq) of a level, only the
-- one with the lowest (written, nonce) is there, for everybody.
--
-- Rows of levels 0 and 1 are gone soon after the end of their hour: parts of their
-- own can be dropped then. A token is remembered by partition, which must depend
-- on nothing but what the token is made of.
CREATE TABLE IF NOT EXISTS {{ table "chunks" }}
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    kind LowCardinality(String),
    types LowCardinality(String),
    period_type LowCardinality(String),
    period Int64 CODEC(ZSTD(1)),
    hour DateTime('UTC') CODEC(ZSTD(1)),
    level UInt8 CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    id UInt64 CODEC(NONE),
    nonce UInt128 CODEC(ZSTD(1)),
    covers Array(UInt64) CODEC(ZSTD(1)),
    first_time DateTime64(9, 'UTC') CODEC(ZSTD(1)),
    last_time DateTime64(9, 'UTC') CODEC(ZSTD(1)),
    profiles_n UInt32 CODEC(ZSTD(1)),
    events UInt64 CODEC(ZSTD(1)),
    entries_n UInt32 CODEC(ZSTD(1)),
    written DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(ZSTD(1)),
    stored DateTime('UTC') CODEC(ZSTD(1)),

    times Array(Int64) CODEC(Delta(8), ZSTD(1)),
    durations Array(Int64) CODEC(ZSTD(1)),
    series Array(UInt32) CODEC(ZSTD(1)),
    series_ids Array(UInt128) CODEC(ZSTD(1)),
    events_by_profile Array(UInt64) CODEC(T64('bit'), ZSTD(1)),
    pt0 Array(Int64) CODEC(T64('bit'), ZSTD(1)),
    pt1 Array(Int64) CODEC(T64('bit'), ZSTD(1)),
    pt2 Array(Int64) CODEC(T64('bit'), ZSTD(1)),
    pt3 Array(Int64) CODEC(T64('bit'), ZSTD(1)),

    stacks Array(UInt128) CODEC(ZSTD(1)),
    attribute_sets Array(UInt128) CODEC(ZSTD(1)),
    lock_addresses Array(UInt64) CODEC(ZSTD(1)),
    syscalls Array(Int64) CODEC(ZSTD(1)),
    buckets Array(UInt8) CODEC(ZSTD(1)),
    errors Array(UInt8) CODEC(ZSTD(1)),
    entry_profiles Array(UInt32) CODEC(T64, ZSTD(1)),
    counts Array(UInt64) CODEC(T64, ZSTD(1)),
    t0 Array(Int64) CODEC(T64, ZSTD(1)),
    t1 Array(Int64) CODEC(T64, ZSTD(1)),
    t2 Array(Int64) CODEC(T64, ZSTD(1)),
    t3 Array(Int64) CODEC(T64, ZSTD(1)),
    minima Array(Int64) CODEC(T64, ZSTD(1)),
    maxima Array(Int64) CODEC(T64, ZSTD(1)),

    head String CODEC(ZSTD(1)),
    positions String CODEC(NONE),
    small String CODEC(NONE),
    v0 String CODEC(ZSTD(1)),
    v1 String CODEC(ZSTD(1)),
    v2 String CODEC(ZSTD(1)),
    v3 String CODEC(ZSTD(1)),
    count_stream String CODEC(ZSTD(1)),
    minimum_stream String CODEC(ZSTD(1)),
    maximum_stream String CODEC(ZSTD(1)),
    exemplars String CODEC(ZSTD(1))
)
ENGINE = {{ engine "MergeTree" }}
PARTITION BY (level, if(level < 2, hour, toDateTime(toMonday(hour), 'UTC')))
ORDER BY (tenant, service, kind, hour, level, types, period_type, period, seq, id)
TTL {{ ttl "profiles" }}
SETTINGS {{ durable }}, index_granularity = 64, index_granularity_bytes = 1048576, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "chunks" "cityHash64(tenant, service)" }}
