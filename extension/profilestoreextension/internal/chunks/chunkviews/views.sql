-- Views for people who want plain rows. Single values of a stack in a profile are
-- in streams that SQL cannot read; what is here are their sums over either.
--
-- Both leave out rows that were replaced, and all but the first of rows with equal
-- ids. Only rows of levels 0 and 1 are ever replaced, and they are deleted soon, so
-- that it takes no time to find out. The setting makes one snapshot of all.

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
WHERE {{ visible }}
SETTINGS enable_shared_storage_snapshot_in_query = 1;

-- One row for each stack with its attributes and row of chunks: an hour, or less
-- of an hour that is not closed. profiles counts the profiles that it is in;
-- minimum and maximum of single observations are NULL where nobody said them.
CREATE OR REPLACE VIEW {{ view "chunk_stacks" }} AS
SELECT
    tenant, service, kind, types, period_type, period, hour, first_time, last_time,
    stack, attribute_set, lock_address, syscall, bucket, error, profiles, count, v0, v1, v2, v3,
    if(lowest > highest, NULL, lowest) AS minimum, if(lowest > highest, NULL, highest) AS maximum
FROM {{ read "chunks" }}
ARRAY JOIN
    stacks AS stack, arrayResize(attribute_sets, length(stacks)) AS attribute_set,
    arrayResize(lock_addresses, length(stacks)) AS lock_address,
    if(empty(syscalls), arrayResize(syscalls, length(stacks), -1), syscalls) AS syscall,
    arrayResize(buckets, length(stacks)) AS bucket, arrayResize(errors, length(stacks)) AS error,
    entry_profiles AS profiles, if(empty(counts), arrayMap(v -> toUInt64(v), t0), counts) AS count,
    t0 AS v0, arrayResize(t1, length(stacks)) AS v1, arrayResize(t2, length(stacks)) AS v2, arrayResize(t3, length(stacks)) AS v3,
    arrayResize(minima, length(stacks), 9223372036854775807) AS lowest, arrayResize(maxima, length(stacks), -9223372036854775808) AS highest
WHERE {{ visible }}
SETTINGS enable_shared_storage_snapshot_in_query = 1;
