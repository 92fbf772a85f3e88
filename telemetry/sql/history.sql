-- What vehicles did. Ranges hold their start and not their end.
-- {places} is one of the statements places_*: "at" is the time by which it is found, "t" when it was there.

-- name: count
SELECT count(*) AS samples FROM sample_all
WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s;

-- name: kept_as
-- Whether samples of a vehicle are there for the whole of a period, if not, from when on, and who keeps rollups.
SELECT
    retention_mark_of('sample') <= %(start)s OR EXISTS (
        SELECT FROM frozen_span
        WHERE vehicle_id = %(vehicle_id)s AND NOT released
            AND began_at <= %(start)s AND ended_at >= least(%(end)s, retention_mark_of('sample'))
    ) AS whole,
    (SELECT before FROM retention_mark WHERE class = 'sample') AS samples_from,
    to_regclass('sample_1m_live') IS NOT NULL AS continuous;

-- name: has_seconds
-- Whether the first minute of which there is a rollup still has its seconds.
SELECT EXISTS (
    SELECT FROM (
        SELECT bucket FROM sample_1m_past
        WHERE vehicle_id = %(vehicle_id)s AND bucket >= %(start)s AND bucket < %(end)s
        ORDER BY bucket LIMIT 1
    ) AS first
    JOIN sample_1s_past AS fine ON fine.vehicle_id = %(vehicle_id)s
        AND fine.bucket >= first.bucket AND fine.bucket < first.bucket + interval '1 minute'
);

-- name: places_samples
SELECT vehicle_id, t AS at, seq, t, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, battery_pct_x10 FROM sample_all;

-- name: places_1s
SELECT vehicle_id, bucket AS at, 0 AS seq, last_place_t AS t, last_lat_e7 AS lat_e7, last_lon_e7 AS lon_e7,
    last_alt_amsl_cm AS alt_amsl_cm, last_alt_home_cm AS alt_home_cm,
    last_place_battery_pct_x10 AS battery_pct_x10
FROM sample_1s_past;

-- name: places_1m
SELECT vehicle_id, bucket AS at, 0 AS seq, last_place_t AS t, last_lat_e7 AS lat_e7, last_lon_e7 AS lon_e7,
    last_alt_amsl_cm AS alt_amsl_cm, last_alt_home_cm AS alt_home_cm,
    last_place_battery_pct_x10 AS battery_pct_x10
FROM sample_1m_past;

-- name: places_up_to
SELECT count(*) AS places FROM (
    SELECT 1 FROM ({places}) AS place
    WHERE vehicle_id = %(vehicle_id)s AND at >= %(start)s AND at < %(end)s AND lat_e7 IS NOT NULL
    LIMIT %(limit)s
) AS found;

-- name: track_all
SELECT t, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, battery_pct_x10 FROM ({places}) AS place
WHERE vehicle_id = %(vehicle_id)s AND at >= %(start)s AND at < %(end)s AND lat_e7 IS NOT NULL
ORDER BY at, seq
LIMIT %(limit)s;

-- name: track_buckets
-- The last place of each bucket: one descent of the index a bucket, however many samples lie in it. The whole range
-- is named once more, so that days outside of it are left out before the first descent.
SELECT chosen.t, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, battery_pct_x10
FROM (
    SELECT %(start)s + make_interval(secs => %(width_s)s * i), %(start)s + make_interval(secs => %(width_s)s * (i + 1))
    FROM generate_series(0, %(buckets)s - 1) AS i
) AS bucket (low, high)
CROSS JOIN LATERAL (
    SELECT at, t, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, battery_pct_x10
    FROM ({places}) AS place
    WHERE vehicle_id = %(vehicle_id)s AND at >= bucket.low AND at < bucket.high
        AND at >= %(start)s AND at < %(end)s AND lat_e7 IS NOT NULL
    ORDER BY at DESC, seq DESC
    LIMIT 1
) AS chosen
ORDER BY bucket.low;

-- name: track_1s
-- What track_buckets finds where the stretches are whole seconds, and rollups are kept: read at one go.
SELECT DISTINCT ON (stretch) last_place_t AS t, last_lat_e7 AS lat_e7, last_lon_e7 AS lon_e7,
    last_alt_amsl_cm AS alt_amsl_cm, last_alt_home_cm AS alt_home_cm, last_place_battery_pct_x10 AS battery_pct_x10
FROM (
    SELECT *, date_bin(make_interval(secs => %(width_s)s), bucket, '2000-01-01 00:00:00+00') AS stretch
    FROM sample_1s_of(%(vehicle_id)s, %(start)s, %(end)s)
) AS second
WHERE last_lat_e7 IS NOT NULL
ORDER BY stretch, bucket DESC;

-- name: track_1m
SELECT DISTINCT ON (stretch) last_place_t AS t, last_lat_e7 AS lat_e7, last_lon_e7 AS lon_e7,
    last_alt_amsl_cm AS alt_amsl_cm, last_alt_home_cm AS alt_home_cm, last_place_battery_pct_x10 AS battery_pct_x10
FROM (
    SELECT *, date_bin(make_interval(secs => %(width_s)s), bucket, '2000-01-01 00:00:00+00') AS stretch
    FROM sample_1m_of(%(vehicle_id)s, %(start)s, %(end)s)
) AS minute
WHERE last_lat_e7 IS NOT NULL
ORDER BY stretch, bucket DESC;

-- name: series_samples
SELECT date_bin(%(width)s, t, '2000-01-01 00:00:00+00') AS bucket, min({value}), max({value})
FROM sample_all
WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s AND {value} IS NOT NULL
GROUP BY 1 ORDER BY 1;

-- name: series_1s
SELECT date_bin(%(width)s, bucket, '2000-01-01 00:00:00+00') AS bucket, min({lowest}), max({highest})
FROM sample_1s_of(%(vehicle_id)s, %(start)s, %(end)s)
WHERE {lowest} IS NOT NULL
GROUP BY 1 ORDER BY 1;

-- name: series_1m
SELECT date_bin(%(width)s, bucket, '2000-01-01 00:00:00+00') AS bucket, min({lowest}), max({highest})
FROM sample_1m_of(%(vehicle_id)s, %(start)s, %(end)s)
WHERE {lowest} IS NOT NULL
GROUP BY 1 ORDER BY 1;

-- name: samples
SELECT t, vehicle_ms, seq, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, vel_n_cms, vel_e_cms, vel_d_cms,
    heading_cdeg, battery_pct_x10, voltage_mv, current_ca, roll_cdeg, pitch_cdeg, wind_n_cms, wind_e_cms,
    link_pct_x10, step, armed, on_ground, vehicle_id, mode, mission_id, extra
FROM sample_all
WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s
ORDER BY t, seq;

-- name: heard_since
-- Who may have samples in a period that begins then: vehicles of which nothing was heard since have none.
SELECT vehicle_id FROM latest_sample WHERE t >= %(start)s ORDER BY vehicle_id;

-- name: newest_of_steps
-- The newest sample of each vehicle in each step.
SELECT chosen.*
FROM unnest(%(lows)s::timestamptz[], %(highs)s::timestamptz[]) AS step (low, high)
CROSS JOIN unnest(%(vehicle_ids)s::text[]) AS wanted (vehicle)
CROSS JOIN LATERAL (
    SELECT t, vehicle_ms, seq, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, vel_n_cms, vel_e_cms, vel_d_cms,
        heading_cdeg, battery_pct_x10, voltage_mv, current_ca, roll_cdeg, pitch_cdeg, wind_n_cms, wind_e_cms,
        link_pct_x10, step, armed, on_ground, vehicle_id, mode, mission_id, extra
    FROM sample_all
    WHERE vehicle_id = wanted.vehicle AND t >= step.low AND t < step.high
        AND t >= %(start)s AND t < %(end)s
    ORDER BY t DESC, seq DESC
    LIMIT 1
) AS chosen
ORDER BY chosen.t, chosen.vehicle_id;

-- name: area_samples
SELECT vehicle_id, t, t AS until, lat_e7, lon_e7, lat_e7, lat_e7, lon_e7, lon_e7, alt_amsl_cm, alt_amsl_cm
FROM unnest(%(vehicle_ids)s::text[]) AS wanted (vehicle)
CROSS JOIN LATERAL (
    SELECT vehicle_id, t, seq, lat_e7, lon_e7, alt_amsl_cm FROM sample_all
    WHERE vehicle_id = wanted.vehicle AND t >= %(start)s AND t < %(end)s
        AND lat_e7 BETWEEN %(south)s AND %(north)s AND lon_e7 BETWEEN %(west)s AND %(east)s
) AS place
ORDER BY vehicle_id, t, seq
LIMIT %(limit)s;

-- name: area_1s
SELECT vehicle_id, bucket, last_t, last_lat_e7, last_lon_e7, min_lat_e7, max_lat_e7, min_lon_e7, max_lon_e7,
    min_alt_amsl_cm, max_alt_amsl_cm
FROM unnest(%(vehicle_ids)s::text[]) AS wanted (vehicle)
CROSS JOIN LATERAL (
    SELECT * FROM sample_1s_of(wanted.vehicle, %(start)s, %(end)s)
    WHERE max_lat_e7 >= %(south)s AND min_lat_e7 <= %(north)s AND max_lon_e7 >= %(west)s AND min_lon_e7 <= %(east)s
) AS place
ORDER BY vehicle_id, bucket
LIMIT %(limit)s;

-- name: area_1m
SELECT vehicle_id, bucket, last_t, last_lat_e7, last_lon_e7, min_lat_e7, max_lat_e7, min_lon_e7, max_lon_e7,
    min_alt_amsl_cm, max_alt_amsl_cm
FROM unnest(%(vehicle_ids)s::text[]) AS wanted (vehicle)
CROSS JOIN LATERAL (
    SELECT * FROM sample_1m_of(wanted.vehicle, %(start)s, %(end)s)
    WHERE max_lat_e7 >= %(south)s AND min_lat_e7 <= %(north)s AND max_lon_e7 >= %(west)s AND min_lon_e7 <= %(east)s
) AS place
ORDER BY vehicle_id, bucket
LIMIT %(limit)s;

-- name: events
SELECT vehicle_id, t, severity, text, kind FROM vehicle_event
WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s
ORDER BY t DESC, event_id DESC
LIMIT %(limit)s;

-- name: gaps
SELECT vehicle_id, began_at, ended_at, cause, samples FROM telemetry_gap
WHERE vehicle_id = %(vehicle_id)s AND began_at < %(end)s AND ended_at > %(start)s
ORDER BY began_at DESC, gap_id DESC
LIMIT %(limit)s;
