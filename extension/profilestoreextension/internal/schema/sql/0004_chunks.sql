{{ define "visible" -}}
(level = 2 OR (hour, id) GLOBAL NOT IN (SELECT hour, arrayJoin(argMin(covers, (written, nonce))) FROM {{ read "chunks" }} WHERE level > 0 AND hour GLOBAL IN (SELECT hour FROM {{ read "chunks" }} WHERE level < 2)
        GROUP BY tenant, service, kind, types, period_type, period, hour, id
        UNION ALL SELECT toDateTime(0, 'UTC'), toUInt64(0)))
    AND (hour, id, (written, nonce)) GLOBAL NOT IN (SELECT hour, id, arrayJoin(arraySlice(arraySort(groupArray((written, nonce))), 2)) FROM {{ read "chunks" }} GROUP BY tenant, service, kind, hour, id HAVING count() > 1
        UNION ALL SELECT toDateTime(0, 'UTC'), toUInt64(0), (toDateTime64(0, 3, 'UTC'), toUInt128(0)))
{{- end -}}
-- All profiles of a tenant, service, kind and hour that one window brought, or
-- that were made of several such rows, transposed; docs/adr/0011-chunk-format.md
-- describes the streams.
--
-- A row is ignored if its id is in covers of another row of the same tenant,
-- service, kind, types, period_type, period and hour. Only rows of higher levels
-- cover others. If there are several rows of one number (seq), of whatever level,
-- only the one with the lowest (written, nonce) is there, for everybody.
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
ENGINE = {{ engine "MergeTree" }}
PARTITION BY (level, if(level < 2, hour, toDateTime(toMonday(hour), 'UTC')))
ORDER BY (tenant, service, kind, hour, level, types, period_type, period, seq, id)
TTL {{ ttl "chunks" }}
SETTINGS {{ durable }}, index_granularity = 64, index_granularity_bytes = 1048576, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "chunks" "cityHash64(tenant, service)" }}

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
ENGINE = {{ engine "MergeTree" }}
PARTITION BY epoch
ORDER BY (tenant, service, dictionary, seq)
TTL {{ ttl "stack_segments" }}
SETTINGS {{ durable }}, index_granularity = 64, index_granularity_bytes = 1048576, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, {{ dedup }};
{{ distributed "stack_segments" "cityHash64(tenant, service)" }}

-- Who compacts a part of the services. The newest row says it, until ttl_ms after it
-- was written. That is not safe against two at once, and need not be: it saves work.
CREATE TABLE IF NOT EXISTS {{ table "chunk_leases" }}
(
    part UInt32,
    holder String,
    ttl_ms UInt64,
    written DateTime64(9, 'UTC') DEFAULT now64(9)
)
ENGINE = {{ engine "MergeTree" }}
ORDER BY (part, written)
TTL {{ ttl "chunk_leases" }}
SETTINGS {{ dedup }};
{{ distributed "chunk_leases" "0" }}

-- Views for people who want plain rows. Single values of a stack in a profile are
-- in streams that SQL cannot read; what is here are their sums over either.
--
-- Both leave out rows that were replaced, and all but the first of rows with equal
-- ids. Only rows of levels 0 and 1 are ever replaced, and they are deleted soon, so
-- that it takes no time to find out. The setting makes one snapshot of all. The
-- lists are never empty, which the server would take for a constant and fail: no row
-- has the id 0.

-- One row for each profile.
CREATE OR REPLACE VIEW {{ view "chunk_profiles" }} AS
SELECT
    tenant, service, kind, types, period_type, period,
    fromUnixTimestamp64Nano(ns, 'UTC') AS time, duration, series, events, v0, v1, v2, v3
FROM {{ read "chunks" }}
ARRAY JOIN
    times AS ns, durations AS duration, arrayMap(s -> series_ids[s + 1], series) AS series,
    if(empty(events_by_profile), arrayMap(v -> toUInt64(v), pt0), events_by_profile) AS events,
    pt0 AS v0, arrayResize(pt1, length(times)) AS v1, arrayResize(pt2, length(times)) AS v2, arrayResize(pt3, length(times)) AS v3
WHERE {{ template "visible" }}
SETTINGS enable_shared_storage_snapshot_in_query = 1;

-- One row for each stack with its attributes and row of chunks: an hour, or less
-- of an hour that is not closed. profiles counts the profiles that it is in;
-- minimum and maximum of single observations are NULL where nobody said them. stack
-- is what stack_locations has.
CREATE OR REPLACE VIEW {{ view "chunk_stacks" }} AS
SELECT
    tenant, service, kind, types, period_type, period, hour, first_time, last_time,
    stack, attribute_set, lock_address, syscall, bucket, error, profiles, count, v0, v1, v2, v3,
    if(lowest > highest, NULL, lowest) AS minimum, if(lowest > highest, NULL, highest) AS maximum
FROM {{ read "chunks" }}
ARRAY JOIN
    if(dictionary = 0, stacks, arrayMap(n -> if(n = 0, 0, bitShiftLeft(toUInt128(dictionary), 32) + n), dense)) AS stack,
    arrayResize(attribute_sets, entries_n) AS attribute_set,
    arrayResize(lock_addresses, entries_n) AS lock_address,
    if(empty(syscalls), arrayResize(syscalls, entries_n, -1), syscalls) AS syscall,
    arrayResize(buckets, entries_n) AS bucket, arrayResize(errors, entries_n) AS error,
    entry_profiles AS profiles, if(empty(counts), arrayMap(v -> toUInt64(v), t0), counts) AS count,
    t0 AS v0, arrayResize(t1, entries_n) AS v1, arrayResize(t2, entries_n) AS v2, arrayResize(t3, entries_n) AS v3,
    arrayResize(minima, entries_n, 9223372036854775807) AS lowest, arrayResize(maxima, entries_n, -9223372036854775808) AS highest
WHERE {{ template "visible" }}
SETTINGS enable_shared_storage_snapshot_in_query = 1;

-- The locations of stacks of a tenant and service, leaf first:
-- stack_locations(tenant = '...', service = '...'). A stack may be there several
-- times, also under several names: its hash, or number and dictionary.
CREATE OR REPLACE VIEW {{ view "stack_locations" }} AS
WITH RECURSIVE
    segments AS (
        SELECT * FROM {{ read "stack_segments" }} WHERE tenant = {tenant:String} AND service = {service:String}
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
SELECT stack, locations FROM {{ read "stacks" }} WHERE tenant = {tenant:String} AND service = {service:String};

-- What earlier versions made, see durable in render.go.
ALTER TABLE {{ table "batches" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "series" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "attribute_sets" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "stacks" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "locations" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "functions" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "alert_rules" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "alert_transitions" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "alert_history" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "alert_ids" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "alert_leases" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "alert_deliveries" }} MODIFY SETTING {{ merges }};
ALTER TABLE {{ table "alert_published" }} MODIFY SETTING {{ merges }};
