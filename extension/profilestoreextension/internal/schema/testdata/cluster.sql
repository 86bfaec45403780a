CREATE TABLE IF NOT EXISTS `aperture`.`batches_local` ON CLUSTER `main`
(
    tenant LowCardinality(String),
    received_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    agent_id LowCardinality(String),
    sequence UInt64 CODEC(Delta(8), ZSTD(1)),
    event_count UInt64 CODEC(T64, ZSTD(1)),
    stored DateTime('UTC') CODEC(ZSTD(1)),
    INDEX agents agent_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toMonday(received_at)
ORDER BY (tenant, received_at, agent_id, sequence)
TTL stored + toIntervalSecond(2592000)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `aperture`.`batches` ON CLUSTER `main` AS `aperture`.`batches_local`
ENGINE = Distributed(`main`, `aperture`, `batches_local`, cityHash64(tenant, agent_id));

CREATE TABLE IF NOT EXISTS `aperture`.`series_local` ON CLUSTER `main`
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    series UInt128 CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    last_seen DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', last_seen)
ORDER BY (tenant, service, series)
TTL last_seen + toIntervalSecond(5187600)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS `aperture`.`series` ON CLUSTER `main` AS `aperture`.`series_local`
ENGINE = Distributed(`main`, `aperture`, `series_local`, cityHash64(tenant, service));

CREATE TABLE IF NOT EXISTS `aperture`.`attribute_sets_local` ON CLUSTER `main`
(
    tenant LowCardinality(String),
    id UInt128 CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    last_seen DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', last_seen)
ORDER BY (tenant, id)
TTL last_seen + toIntervalSecond(5187600)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS `aperture`.`attribute_sets` ON CLUSTER `main` AS `aperture`.`attribute_sets_local`
ENGINE = Distributed(`main`, `aperture`, `attribute_sets_local`, cityHash64(tenant, id));

CREATE TABLE IF NOT EXISTS `aperture`.`stacks_local` ON CLUSTER `main`
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    stack UInt128 CODEC(ZSTD(1)),
    locations Array(UInt128) CODEC(ZSTD(1)),
    last_seen DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', last_seen)
ORDER BY (tenant, service, stack)
TTL last_seen + toIntervalSecond(5187600)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, index_granularity = 1024, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS `aperture`.`stacks` ON CLUSTER `main` AS `aperture`.`stacks_local`
ENGINE = Distributed(`main`, `aperture`, `stacks_local`, cityHash64(tenant, service));

CREATE TABLE IF NOT EXISTS `aperture`.`locations_local` ON CLUSTER `main`
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', last_seen)
ORDER BY (tenant, location)
TTL last_seen + toIntervalSecond(5187600)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, index_granularity = 1024, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS `aperture`.`locations` ON CLUSTER `main` AS `aperture`.`locations_local`
ENGINE = Distributed(`main`, `aperture`, `locations_local`, cityHash64(tenant, location));

CREATE TABLE IF NOT EXISTS `aperture`.`functions_local` ON CLUSTER `main`
(
    tenant LowCardinality(String),
    function UInt128 CODEC(ZSTD(1)),
    name String CODEC(ZSTD(1)),
    system_name String CODEC(ZSTD(1)),
    filename String CODEC(ZSTD(1)),
    start_line Int64 CODEC(T64, ZSTD(1)),
    last_seen DateTime('UTC') CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', last_seen)
ORDER BY (tenant, function)
TTL last_seen + toIntervalSecond(5187600)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, index_granularity = 1024, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS `aperture`.`functions` ON CLUSTER `main` AS `aperture`.`functions_local`
ENGINE = Distributed(`main`, `aperture`, `functions_local`, cityHash64(tenant, function));

CREATE TABLE IF NOT EXISTS `aperture`.`alert_rules_local` ON CLUSTER `main`
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (dialect, tenant, id)
TTL toDateTime(written) + toIntervalSecond(86400) GROUP BY dialect, tenant, id SET rank = max(rank), revision = argMax(revision, rank), deleted = argMax(deleted, rank), name = argMax(name, rank), severity = argMax(severity, rank), enabled = argMax(enabled, rank), created_at = argMax(created_at, rank), operator = argMax(operator, rank), threshold = argMax(threshold, rank), for_ns = argMax(for_ns, rank), rearm_ns = argMax(rearm_ns, rank), labels = argMax(labels, rank), annotations = argMax(annotations, rank), spec = argMax(spec, rank), bytes = argMax(bytes, rank), first = argMax(first, rank), nonce = argMax(nonce, rank), written = argMax(written, rank)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, index_granularity = 256, materialize_ttl_recalculate_only = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `aperture`.`alert_rules` ON CLUSTER `main` AS `aperture`.`alert_rules_local`
ENGINE = Distributed(`main`, `aperture`, `alert_rules_local`, cityHash64(dialect));

CREATE TABLE IF NOT EXISTS `aperture`.`alert_transitions_local` ON CLUSTER `main`
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (dialect, tenant, id)
TTL toDateTime(written) + toIntervalSecond(172800) GROUP BY dialect, tenant, id SET rank = max(rank), seq = argMax(seq, rank), phase = argMax(phase, rank), since = argMax(since, rank), fired_at = argMax(fired_at, rank), revision = argMax(revision, rank), episode = argMax(episode, rank), event = argMax(event, rank), rule_name = argMax(rule_name, rank), severity = argMax(severity, rank), operator = argMax(operator, rank), threshold = argMax(threshold, rank), value = argMax(value, rank), message = argMax(message, rank), metric = argMax(metric, rank), at = argMax(at, rank), starts_at = argMax(starts_at, rank), labels = argMax(labels, rank), annotations = argMax(annotations, rank), link = argMax(link, rank), nonce = argMax(nonce, rank), written = argMax(written, rank)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, index_granularity = 256, materialize_ttl_recalculate_only = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `aperture`.`alert_transitions` ON CLUSTER `main` AS `aperture`.`alert_transitions_local`
ENGINE = Distributed(`main`, `aperture`, `alert_transitions_local`, cityHash64(dialect));

CREATE TABLE IF NOT EXISTS `aperture`.`alert_history_local` ON CLUSTER `main`
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', written)
ORDER BY (dialect, tenant, at, seq, id)
TTL toDateTime(written) + toIntervalSecond(7776000)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, index_granularity = 256, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS `aperture`.`alert_history` ON CLUSTER `main` AS `aperture`.`alert_history_local`
ENGINE = Distributed(`main`, `aperture`, `alert_history_local`, cityHash64(dialect));

CREATE TABLE IF NOT EXISTS `aperture`.`alert_ids_local` ON CLUSTER `main`
(
    dialect LowCardinality(String),
    n UInt64,
    nonce UInt128,
    written DateTime64(9, 'UTC') DEFAULT now64(9),
    rank UInt128 DEFAULT bitShiftLeft(toUInt128(n), 64) + bitNot(toUInt64(toUnixTimestamp64Nano(written)))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY dialect
TTL toDateTime(written) + toIntervalSecond(86400) GROUP BY dialect SET rank = max(rank), n = argMax(n, rank), nonce = argMax(nonce, rank), written = argMax(written, rank)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, materialize_ttl_recalculate_only = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `aperture`.`alert_ids` ON CLUSTER `main` AS `aperture`.`alert_ids_local`
ENGINE = Distributed(`main`, `aperture`, `alert_ids_local`, cityHash64(dialect));

CREATE TABLE IF NOT EXISTS `aperture`.`alert_leases_local` ON CLUSTER `main`
(
    dialect LowCardinality(String),
    epoch UInt64,
    holder String,
    ttl_ns Int64,
    nonce UInt128,
    written DateTime64(9, 'UTC') DEFAULT now64(9),
    rank UInt128 DEFAULT bitShiftLeft(toUInt128(epoch), 64) + toUInt64(toUnixTimestamp64Nano(written))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY dialect
TTL toDateTime(written) + toIntervalSecond(3600) GROUP BY dialect SET rank = max(rank), epoch = argMax(epoch, rank), holder = argMax(holder, rank), ttl_ns = argMax(ttl_ns, rank), nonce = argMax(nonce, rank), written = argMax(written, rank)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, materialize_ttl_recalculate_only = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `aperture`.`alert_leases` ON CLUSTER `main` AS `aperture`.`alert_leases_local`
ENGINE = Distributed(`main`, `aperture`, `alert_leases_local`, cityHash64(dialect));

CREATE TABLE IF NOT EXISTS `aperture`.`alert_deliveries_local` ON CLUSTER `main`
(
    dialect LowCardinality(String),
    receiver String,
    tenant String,
    id String,
    seq UInt64,
    written DateTime64(9, 'UTC') DEFAULT now64(9),
    INDEX written_range written TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', written)
ORDER BY (dialect, receiver, tenant, id, seq)
TTL toDateTime(written) + toIntervalSecond(604800)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS `aperture`.`alert_deliveries` ON CLUSTER `main` AS `aperture`.`alert_deliveries_local`
ENGINE = Distributed(`main`, `aperture`, `alert_deliveries_local`, cityHash64(dialect));

CREATE TABLE IF NOT EXISTS `aperture`.`alert_published_local` ON CLUSTER `main`
(
    dialect LowCardinality(String),
    replica String,
    values Map(String, Float64),
    written DateTime64(9, 'UTC') DEFAULT now64(9)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', written)
ORDER BY (dialect, replica)
TTL toDateTime(written) + toIntervalSecond(3600)
SETTINGS materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS `aperture`.`alert_published` ON CLUSTER `main` AS `aperture`.`alert_published_local`
ENGINE = Distributed(`main`, `aperture`, `alert_published_local`, cityHash64(dialect));

CREATE TABLE IF NOT EXISTS `aperture`.`chunks_local` ON CLUSTER `main`
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
    dictionary UInt64 CODEC(ZSTD(1)),
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

    -- Of each entry: content hashes, or if dictionary is not 0 numbers in that.
    stacks Array(UInt128) CODEC(ZSTD(1)),
    dense Array(UInt32) CODEC(T64, ZSTD(1)),
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY (level, if(level < 2, hour, toDateTime(toMonday(hour), 'UTC')))
ORDER BY (tenant, service, kind, hour, level, types, period_type, period, seq, id)
TTL stored + toIntervalSecond(2592000)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, index_granularity = 64, index_granularity_bytes = 1048576, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `aperture`.`chunks` ON CLUSTER `main` AS `aperture`.`chunks_local`
ENGINE = Distributed(`main`, `aperture`, `chunks_local`, cityHash64(tenant, service));

CREATE TABLE IF NOT EXISTS `aperture`.`stack_segments_local` ON CLUSTER `main`
(
    tenant LowCardinality(String),
    service LowCardinality(String),
    dictionary UInt64 CODEC(ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    epoch DateTime('UTC') CODEC(ZSTD(1)),
    -- The numbers of the first new stack, node and location.
    first UInt32 CODEC(ZSTD(1)),
    first_node UInt32 CODEC(ZSTD(1)),
    first_location UInt32 CODEC(ZSTD(1)),
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY epoch
ORDER BY (tenant, service, dictionary, seq)
TTL stored + toIntervalSecond(5187600)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, index_granularity = 64, index_granularity_bytes = 1048576, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `aperture`.`stack_segments` ON CLUSTER `main` AS `aperture`.`stack_segments_local`
ENGINE = Distributed(`main`, `aperture`, `stack_segments_local`, cityHash64(tenant, service));

CREATE TABLE IF NOT EXISTS `aperture`.`chunk_leases_local` ON CLUSTER `main`
(
    part UInt32,
    holder String,
    ttl_ms UInt64,
    written DateTime64(9, 'UTC') DEFAULT now64(9)
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (part, written)
TTL toDateTime(written) + toIntervalSecond(3600)
SETTINGS replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `aperture`.`chunk_leases` ON CLUSTER `main` AS `aperture`.`chunk_leases_local`
ENGINE = Distributed(`main`, `aperture`, `chunk_leases_local`, 0);

CREATE OR REPLACE VIEW `aperture`.`chunk_profiles` ON CLUSTER `main` AS
SELECT
    tenant, service, kind, types, period_type, period,
    fromUnixTimestamp64Nano(ns, 'UTC') AS time, duration, series, events, v0, v1, v2, v3
FROM `aperture`.`chunks`
ARRAY JOIN
    times AS ns, durations AS duration, arrayMap(s -> series_ids[s + 1], series) AS series,
    if(empty(events_by_profile), arrayMap(v -> toUInt64(v), pt0), events_by_profile) AS events,
    pt0 AS v0, arrayResize(pt1, length(times)) AS v1, arrayResize(pt2, length(times)) AS v2, arrayResize(pt3, length(times)) AS v3
WHERE (level = 2 OR (hour, id) GLOBAL NOT IN (SELECT hour, arrayJoin(argMin(covers, (written, nonce))) FROM `aperture`.`chunks` WHERE level > 0 AND hour GLOBAL IN (SELECT hour FROM `aperture`.`chunks` WHERE level < 2)
        GROUP BY tenant, service, kind, types, period_type, period, hour, id
        UNION ALL SELECT toDateTime(0, 'UTC'), toUInt64(0)))
    AND (hour, id, (written, nonce)) GLOBAL NOT IN (SELECT hour, id, arrayJoin(arraySlice(arraySort(groupArray((written, nonce))), 2)) FROM `aperture`.`chunks` GROUP BY tenant, service, kind, hour, id HAVING count() > 1
        UNION ALL SELECT toDateTime(0, 'UTC'), toUInt64(0), (toDateTime64(0, 3, 'UTC'), toUInt128(0)))
SETTINGS enable_shared_storage_snapshot_in_query = 1;

CREATE OR REPLACE VIEW `aperture`.`chunk_stacks` ON CLUSTER `main` AS
SELECT
    tenant, service, kind, types, period_type, period, hour, first_time, last_time,
    stack, attribute_set, lock_address, syscall, bucket, error, profiles, count, v0, v1, v2, v3,
    if(lowest > highest, NULL, lowest) AS minimum, if(lowest > highest, NULL, highest) AS maximum
FROM `aperture`.`chunks`
ARRAY JOIN
    if(dictionary = 0, stacks, arrayMap(n -> if(n = 0, 0, bitShiftLeft(toUInt128(dictionary), 32) + n), dense)) AS stack,
    arrayResize(attribute_sets, entries_n) AS attribute_set,
    arrayResize(lock_addresses, entries_n) AS lock_address,
    if(empty(syscalls), arrayResize(syscalls, entries_n, -1), syscalls) AS syscall,
    arrayResize(buckets, entries_n) AS bucket, arrayResize(errors, entries_n) AS error,
    entry_profiles AS profiles, if(empty(counts), arrayMap(v -> toUInt64(v), t0), counts) AS count,
    t0 AS v0, arrayResize(t1, entries_n) AS v1, arrayResize(t2, entries_n) AS v2, arrayResize(t3, entries_n) AS v3,
    arrayResize(minima, entries_n, 9223372036854775807) AS lowest, arrayResize(maxima, entries_n, -9223372036854775808) AS highest
WHERE (level = 2 OR (hour, id) GLOBAL NOT IN (SELECT hour, arrayJoin(argMin(covers, (written, nonce))) FROM `aperture`.`chunks` WHERE level > 0 AND hour GLOBAL IN (SELECT hour FROM `aperture`.`chunks` WHERE level < 2)
        GROUP BY tenant, service, kind, types, period_type, period, hour, id
        UNION ALL SELECT toDateTime(0, 'UTC'), toUInt64(0)))
    AND (hour, id, (written, nonce)) GLOBAL NOT IN (SELECT hour, id, arrayJoin(arraySlice(arraySort(groupArray((written, nonce))), 2)) FROM `aperture`.`chunks` GROUP BY tenant, service, kind, hour, id HAVING count() > 1
        UNION ALL SELECT toDateTime(0, 'UTC'), toUInt64(0), (toDateTime64(0, 3, 'UTC'), toUInt128(0)))
SETTINGS enable_shared_storage_snapshot_in_query = 1;

CREATE OR REPLACE VIEW `aperture`.`stack_locations` ON CLUSTER `main` AS
WITH RECURSIVE
    segments AS (
        SELECT * FROM `aperture`.`stack_segments` WHERE tenant = {tenant:String} AND service = {service:String}
    ),
    nodes AS (
        SELECT n.dictionary AS dictionary, node, parent, location
        FROM (
            SELECT dictionary, first_node + i AS node, first_node + i - u AS parent, f AS number
            FROM segments ARRAY JOIN up AS u, frames AS f, range(length(up)) AS i
        ) AS n
        INNER JOIN (
            SELECT dictionary, first_location + i AS number, l AS location
            FROM segments ARRAY JOIN locations AS l, range(length(locations)) AS i
        ) AS l ON l.dictionary = n.dictionary AND l.number = n.number
    ),
    paths AS (
        SELECT s.dictionary AS dictionary, toUInt32(s.first + i) AS number, toUInt32(n) AS at, CAST([], 'Array(UInt128)') AS path
        FROM segments AS s ARRAY JOIN s.nodes AS n, range(length(s.nodes)) AS i
        UNION ALL
        SELECT p.dictionary, p.number, toUInt32(n.parent), arrayPushBack(p.path, n.location)
        FROM paths AS p INNER JOIN nodes AS n ON n.dictionary = p.dictionary AND n.node = p.at
    )
SELECT bitShiftLeft(toUInt128(dictionary), 32) + number AS stack, path AS locations FROM paths WHERE at = 0
UNION ALL
SELECT stack, locations FROM `aperture`.`stacks` WHERE tenant = {tenant:String} AND service = {service:String};

ALTER TABLE `aperture`.`batches_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`series_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`attribute_sets_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`stacks_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`locations_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`functions_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`alert_rules_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`alert_transitions_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`alert_history_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`alert_ids_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`alert_leases_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`alert_deliveries_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

ALTER TABLE `aperture`.`alert_published_local` ON CLUSTER `main` MODIFY SETTING min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS `aperture`.`data_jobs_local` ON CLUSTER `main`
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
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (tenant, id)
TTL toDateTime(written) + toIntervalSecond(7776000)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, materialize_ttl_recalculate_only = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `aperture`.`data_jobs` ON CLUSTER `main` AS `aperture`.`data_jobs_local`
ENGINE = Distributed(`main`, `aperture`, `data_jobs_local`, cityHash64(tenant));

ALTER TABLE `aperture`.`batches_local` ON CLUSTER `main` ADD COLUMN IF NOT EXISTS window_id UInt64 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS hours Array(DateTime('UTC')) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS hour_events Array(UInt64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS missing UInt64 CODEC(ZSTD(1));

ALTER TABLE `aperture`.`batches` ON CLUSTER `main` ADD COLUMN IF NOT EXISTS window_id UInt64 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS hours Array(DateTime('UTC')) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS hour_events Array(UInt64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS missing UInt64 CODEC(ZSTD(1));

ALTER TABLE `aperture`.`batches_local` ON CLUSTER `main` ADD INDEX IF NOT EXISTS stored_range stored TYPE minmax GRANULARITY 1;

ALTER TABLE `aperture`.`chunks_local` ON CLUSTER `main` ADD COLUMN IF NOT EXISTS batch_events UInt64 DEFAULT 18446744073709551615 CODEC(ZSTD(1));

ALTER TABLE `aperture`.`chunks` ON CLUSTER `main` ADD COLUMN IF NOT EXISTS batch_events UInt64 DEFAULT 18446744073709551615 CODEC(ZSTD(1));

