-- Alert rules and what became of them. In the tables with a version (revision,
-- seq, n, epoch) only one insert of each version is stored: whoever inserts
-- first, because the others carry the same deduplication token; nonce tells them
-- apart. All rows of a dialect are on one shard, and there are no partitions: a
-- token counts within one table of one shard and within one partition.
--
-- rank orders the rows of one key: the newest version, and the first row of it if
-- there were several. The TTLs do not drop rows, they make one of all that are
-- old: that of the highest rank.
CREATE TABLE IF NOT EXISTS {{ table "alert_rules" }}
(
    dialect LowCardinality(String),
    tenant String,
    id String,
    revision UInt64,
    deleted UInt8,
    name String,
    severity String,
    enabled UInt8,
    created_at DateTime64(9, 'UTC'),
    operator String,
    threshold Float64,
    for_ns Int64,
    rearm_ns Int64,
    labels Map(String, String),
    annotations Map(String, String),
    spec String CODEC(ZSTD(1)),
    bytes UInt32,
    first DateTime64(9, 'UTC'),
    nonce UInt128,
    written DateTime64(9, 'UTC') DEFAULT now64(9),
    rank UInt128 DEFAULT bitShiftLeft(toUInt128(revision), 64) + bitNot(toUInt64(toUnixTimestamp64Nano(written)))
)
ENGINE = {{ engine "MergeTree" }}
ORDER BY (dialect, tenant, id)
TTL {{ ttl "alert_rules" }}
SETTINGS {{ durable }}, index_granularity = 256, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "alert_rules" "cityHash64(dialect)" }}

-- Changes of the phase of rules. State and event are one row, so that both are
-- stored or neither. Rows are kept apart for two days, so that events can be
-- delivered, and the newest of each rule after that, because it is the state of the
-- rule: states are read at every evaluation, and must not cost more the longer the
-- history is.
CREATE TABLE IF NOT EXISTS {{ table "alert_transitions" }}
(
    dialect LowCardinality(String),
    tenant String,
    id String,
    seq UInt64,
    phase LowCardinality(String),
    since DateTime64(9, 'UTC'),
    fired_at DateTime64(9, 'UTC'),
    revision UInt64,
    episode UInt64,
    event UInt8,
    rule_name String,
    severity String,
    operator String,
    threshold Float64,
    value Float64,
    message String CODEC(ZSTD(1)),
    metric String,
    at DateTime64(9, 'UTC'),
    starts_at DateTime64(9, 'UTC'),
    labels Map(String, String),
    annotations Map(String, String),
    link String CODEC(ZSTD(1)),
    nonce UInt128,
    written DateTime64(9, 'UTC') DEFAULT now64(9),
    rank UInt128 DEFAULT bitShiftLeft(toUInt128(seq), 64) + bitNot(toUInt64(toUnixTimestamp64Nano(written)))
)
ENGINE = {{ engine "MergeTree" }}
ORDER BY (dialect, tenant, id)
TTL {{ ttl "alert_transitions" }}
SETTINGS {{ durable }}, index_granularity = 256, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "alert_transitions" "cityHash64(dialect)" }}

-- What people were told: copies of the rows of alert_transitions with an event.
CREATE TABLE IF NOT EXISTS {{ table "alert_history" }}
(
    dialect LowCardinality(String),
    tenant String,
    id String,
    seq UInt64,
    phase LowCardinality(String),
    episode UInt64,
    rule_name String,
    severity String,
    operator String,
    threshold Float64,
    value Float64,
    message String CODEC(ZSTD(1)),
    metric String,
    at DateTime64(9, 'UTC'),
    starts_at DateTime64(9, 'UTC'),
    labels Map(String, String),
    annotations Map(String, String),
    link String CODEC(ZSTD(1)),
    written DateTime64(9, 'UTC') DEFAULT now64(9),
    INDEX written_range written TYPE minmax GRANULARITY 1
)
ENGINE = {{ engine "ReplacingMergeTree" "written" }}
ORDER BY (dialect, tenant, at, seq, id)
TTL {{ ttl "alert_history" }}
SETTINGS {{ durable }}, index_granularity = 256, materialize_ttl_recalculate_only = 1;
{{ distributed "alert_history" "cityHash64(dialect)" }}

-- The numbers that rules were given.
CREATE TABLE IF NOT EXISTS {{ table "alert_ids" }}
(
    dialect LowCardinality(String),
    n UInt64,
    nonce UInt128,
    written DateTime64(9, 'UTC') DEFAULT now64(9),
    rank UInt128 DEFAULT bitShiftLeft(toUInt128(n), 64) + bitNot(toUInt64(toUnixTimestamp64Nano(written)))
)
ENGINE = {{ engine "MergeTree" }}
ORDER BY dialect
TTL {{ ttl "alert_ids" }}
SETTINGS {{ durable }}, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "alert_ids" "cityHash64(dialect)" }}

-- Who evaluates the rules of a dialect. A takeover is a new epoch; a renewal is
-- another row of the same, so here the last row of an epoch ranks highest.
CREATE TABLE IF NOT EXISTS {{ table "alert_leases" }}
(
    dialect LowCardinality(String),
    epoch UInt64,
    holder String,
    ttl_ns Int64,
    nonce UInt128,
    written DateTime64(9, 'UTC') DEFAULT now64(9),
    rank UInt128 DEFAULT bitShiftLeft(toUInt128(epoch), 64) + toUInt64(toUnixTimestamp64Nano(written))
)
ENGINE = {{ engine "MergeTree" }}
ORDER BY dialect
TTL {{ ttl "alert_leases" }}
SETTINGS {{ durable }}, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "alert_leases" "cityHash64(dialect)" }}

-- The events that a receiver has taken.
CREATE TABLE IF NOT EXISTS {{ table "alert_deliveries" }}
(
    dialect LowCardinality(String),
    receiver String,
    tenant String,
    id String,
    seq UInt64,
    written DateTime64(9, 'UTC') DEFAULT now64(9),
    INDEX written_range written TYPE minmax GRANULARITY 1
)
ENGINE = {{ engine "ReplacingMergeTree" "written" }}
ORDER BY (dialect, receiver, tenant, id, seq)
TTL {{ ttl "alert_deliveries" }}
SETTINGS {{ durable }}, materialize_ttl_recalculate_only = 1;
{{ distributed "alert_deliveries" "cityHash64(dialect)" }}

-- What replicas say of themselves.
CREATE TABLE IF NOT EXISTS {{ table "alert_published" }}
(
    dialect LowCardinality(String),
    replica String,
    values Map(String, Float64),
    written DateTime64(9, 'UTC') DEFAULT now64(9)
)
ENGINE = {{ engine "ReplacingMergeTree" "written" }}
ORDER BY (dialect, replica)
TTL {{ ttl "alert_published" }}
SETTINGS materialize_ttl_recalculate_only = 1;
{{ distributed "alert_published" "cityHash64(dialect)" }}
