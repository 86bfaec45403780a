-- What was observed: one row per series, kind and window, with one array
-- element per stack and set of sample attributes, ordered by stack.
CREATE TABLE IF NOT EXISTS {{ table "profiles" }}
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    kind LowCardinality(String),
    time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    end DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    series UInt128 CODEC(ZSTD(1)),
    types LowCardinality(String),
    period_type LowCardinality(String),
    period Int64 CODEC(T64, ZSTD(1)),
    events UInt64 CODEC(T64, ZSTD(1)),
    stacks Array(UInt128) CODEC(ZSTD(1)),
    attribute_sets Array(UInt128) CODEC(ZSTD(1)),
    counts Array(UInt64) CODEC(T64('bit'), ZSTD(1)),
    same UInt8 CODEC(ZSTD(1)),
    v0 Array(Int64) CODEC(T64('bit'), ZSTD(1)),
    v1 Array(Int64) CODEC(T64('bit'), ZSTD(1)),
    v2 Array(Int64) CODEC(T64('bit'), ZSTD(1)),
    v3 Array(Int64) CODEC(T64('bit'), ZSTD(1)),
    minima Array(Int64) CODEC(T64('bit'), ZSTD(1)),
    maxima Array(Int64) CODEC(T64('bit'), ZSTD(1)),
    lock_addresses Array(UInt64) CODEC(ZSTD(1)),
    syscalls Array(Int64) CODEC(T64, ZSTD(1)),
    buckets Array(UInt8) CODEC(ZSTD(1)),
    errors Array(UInt8) CODEC(ZSTD(1)),
    stored DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = {{ engine "MergeTree" }}
PARTITION BY toMonday(time)
ORDER BY (tenant, service, kind, time, series)
TTL stored + toIntervalSecond(2592000)
SETTINGS {{ durable }}, index_granularity = 256, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "profiles" "cityHash64(tenant, service)" }}

-- The same summed over all series and whole hours.
CREATE TABLE IF NOT EXISTS {{ table "stack_hours" }}
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    kind LowCardinality(String),
    types LowCardinality(String),
    hour DateTime('UTC') CODEC(ZSTD(1)),
    stack UInt128 CODEC(ZSTD(1)),
    lock_address UInt64 CODEC(ZSTD(1)),
    syscall Int64 CODEC(T64, ZSTD(1)),
    bucket UInt8 CODEC(ZSTD(1)),
    error UInt8 CODEC(ZSTD(1)),
    syscall_name SimpleAggregateFunction(max, LowCardinality(String)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(T64('bit'), ZSTD(1)),
    v0 SimpleAggregateFunction(sum, Int64) CODEC(T64('bit'), ZSTD(1)),
    v1 SimpleAggregateFunction(sum, Int64) CODEC(T64('bit'), ZSTD(1)),
    v2 SimpleAggregateFunction(sum, Int64) CODEC(T64('bit'), ZSTD(1)),
    v3 SimpleAggregateFunction(sum, Int64) CODEC(T64('bit'), ZSTD(1)),
    minimum SimpleAggregateFunction(min, Int64) CODEC(T64('bit'), ZSTD(1)),
    maximum SimpleAggregateFunction(max, Int64) CODEC(T64('bit'), ZSTD(1)),
    stored SimpleAggregateFunction(max, DateTime('UTC')) CODEC(ZSTD(1))
)
ENGINE = {{ engine "AggregatingMergeTree" }}
PARTITION BY toMonday(hour)
PRIMARY KEY (tenant, service, kind, types, hour, stack)
ORDER BY (tenant, service, kind, types, hour, stack, lock_address, syscall, bucket, error)
TTL stored + toIntervalSecond(2592000)
SETTINGS {{ durable }}, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "stack_hours" "cityHash64(tenant, service)" }}

-- What is known of a kind of profile in an hour beside its sums.
CREATE TABLE IF NOT EXISTS {{ table "kind_hours" }}
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    kind LowCardinality(String),
    types LowCardinality(String),
    hour DateTime('UTC') CODEC(ZSTD(1)),
    events SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    profiles SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    first_time SimpleAggregateFunction(min, DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    last_time SimpleAggregateFunction(max, DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    period_min SimpleAggregateFunction(min, Int64) CODEC(ZSTD(1)),
    period_max SimpleAggregateFunction(max, Int64) CODEC(ZSTD(1)),
    counts_only SimpleAggregateFunction(min, UInt8) CODEC(ZSTD(1)),
    stored SimpleAggregateFunction(max, DateTime('UTC')) CODEC(ZSTD(1))
)
ENGINE = {{ engine "AggregatingMergeTree" }}
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, service, kind, types, hour)
TTL stored + toIntervalSecond(2592000)
SETTINGS {{ durable }}, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "kind_hours" "cityHash64(tenant, service)" }}

