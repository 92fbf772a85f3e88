-- What is kept, and for how long. Periods hold their start and not their end.

-- name: freeze_ended
-- What it no longer covers is looked after by the next round, under a name that nobody else gives.
UPDATE frozen_span SET released = true, freeze_id = freeze_id || ' until ' || gen_random_uuid()
WHERE freeze_id = %(freeze_id)s;

-- name: freeze
INSERT INTO frozen_span (freeze_id, vehicle_id, began_at, ended_at)
SELECT DISTINCT %(freeze_id)s, vehicle_id, %(start)s::timestamptz, %(end)s::timestamptz
FROM unnest(%(vehicle_ids)s::text[]) AS vehicle_id;

-- name: lock_freezes
-- Nothing is frozen between the look at what is frozen and the drop of the rest.
LOCK TABLE frozen_span IN SHARE MODE;

-- name: try_keeping
SELECT pg_try_advisory_lock(%(key)s) AS mine;

-- name: end_keeping
SELECT pg_advisory_unlock(%(key)s);

-- name: layout
SELECT
    (SELECT nspname::text FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
        WHERE extname = 'timescaledb') AS extension_schema,
    EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = 'sample'::regclass) AS native,
    to_regclass('sample_1m_live') IS NOT NULL AS continuous,
    EXISTS (SELECT FROM pg_proc WHERE proname = 'refresh_continuous_aggregate' AND 'options' = ANY (proargnames))
        AS batches;

-- name: samples_from
SELECT (SELECT before FROM retention_mark WHERE class = 'sample') AS start;

-- name: move_mark
INSERT INTO retention_mark (class, before) VALUES (%(class)s, %(before)s)
ON CONFLICT (class) DO UPDATE SET before = greatest(retention_mark.before, excluded.before);

-- name: native_days
-- Days of samples that are over: partitions, and days that never had one.
SELECT start, start + interval '24 hours' AS end, partition FROM (
    SELECT to_date(right(relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' AS start, relname::text AS partition
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'sample'::regclass AND relname ~ '^sample_\d{8}$'
    UNION ALL
    SELECT DISTINCT date_bin('24 hours', t, '2000-01-01 00:00:00+00'), NULL FROM sample_default
    WHERE t < %(before)s
) AS day
WHERE start + interval '24 hours' <= %(before)s
ORDER BY start;

-- name: chunks
-- Chunks of a hypertable that are over. Of a continuous aggregate: those in which its rows are.
SELECT range_start AS start, range_end AS end, is_compressed,
    format('%%I.%%I', chunk_schema, chunk_name) AS chunk
FROM timescaledb_information.chunks
WHERE range_end <= %(before)s AND (hypertable_schema, hypertable_name) IN (
    SELECT current_schema(), %(table)s
    UNION ALL
    SELECT materialization_hypertable_schema, materialization_hypertable_name
    FROM timescaledb_information.continuous_aggregates
    WHERE view_schema = current_schema() AND view_name = %(table)s
)
ORDER BY range_start;

-- name: keep_frozen_samples
INSERT INTO sample_kept
SELECT sample.* FROM sample
WHERE t >= %(start)s AND t < %(end)s
    AND vehicle_id IN (SELECT vehicle_id FROM frozen_span WHERE NOT released)
    AND is_frozen(vehicle_id, t, t + interval '1 us');

-- name: drop_default_day
DELETE FROM sample_default WHERE t >= %(start)s AND t < %(end)s;

-- name: store_rollups_1s
INSERT INTO sample_1s_kept
SELECT * FROM sample_1s_computed(%(start)s, %(end)s)
WHERE %(all)s OR is_frozen(vehicle_id, bucket, bucket + interval '1 s')
ON CONFLICT (vehicle_id, bucket) DO NOTHING;

-- name: store_rollups_1m
INSERT INTO sample_1m_kept
SELECT * FROM sample_1m_computed(%(start)s, %(end)s)
WHERE %(all)s OR is_frozen(vehicle_id, bucket, bucket + interval '60 s')
ON CONFLICT (vehicle_id, bucket) DO NOTHING;

-- name: keep_frozen_1s
INSERT INTO sample_1s_kept
SELECT * FROM sample_1s_live
WHERE bucket >= %(start)s AND bucket < %(end)s
    AND vehicle_id IN (SELECT vehicle_id FROM frozen_span WHERE NOT released)
    AND is_frozen(vehicle_id, bucket, bucket + interval '1 s')
ON CONFLICT (vehicle_id, bucket) DO NOTHING;

-- name: keep_frozen_1m
INSERT INTO sample_1m_kept
SELECT * FROM sample_1m_live
WHERE bucket >= %(start)s AND bucket < %(end)s
    AND vehicle_id IN (SELECT vehicle_id FROM frozen_span WHERE NOT released)
    AND is_frozen(vehicle_id, bucket, bucket + interval '60 s')
ON CONFLICT (vehicle_id, bucket) DO NOTHING;

-- name: drop_rollups_1s
DELETE FROM sample_1s_kept WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM sample_1s_kept
    WHERE bucket < %(before)s AND NOT is_frozen(vehicle_id, bucket, bucket + interval '1 s')
    LIMIT %(limit)s
));

-- name: drop_rollups_1m
DELETE FROM sample_1m_kept WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM sample_1m_kept
    WHERE bucket < %(before)s AND NOT is_frozen(vehicle_id, bucket, bucket + interval '60 s')
    LIMIT %(limit)s
));

-- name: drop_events
DELETE FROM vehicle_event WHERE event_id = ANY (ARRAY (
    SELECT event_id FROM vehicle_event
    WHERE t < %(before)s AND NOT is_frozen(vehicle_id, t, t + interval '1 us')
    LIMIT %(limit)s
));

-- name: drop_gaps
DELETE FROM telemetry_gap WHERE gap_id = ANY (ARRAY (
    SELECT gap_id FROM telemetry_gap
    WHERE ended_at < %(before)s AND NOT is_frozen(vehicle_id, began_at, ended_at + interval '1 us')
    LIMIT %(limit)s
));

-- name: drop_released
-- What is in sample_kept is past its time: without a freeze, it goes.
DELETE FROM sample_kept WHERE ctid = ANY (ARRAY (
    SELECT kept.ctid FROM frozen_span AS span
    JOIN sample_kept AS kept
        ON kept.vehicle_id = span.vehicle_id AND kept.t >= span.began_at AND kept.t < span.ended_at
    WHERE span.released AND NOT is_frozen(kept.vehicle_id, kept.t, kept.t + interval '1 us')
    LIMIT %(limit)s
));

-- name: forget_released
DELETE FROM frozen_span WHERE released;
