-- Writing batches of samples, and what is newest.

-- name: claim_batch
INSERT INTO sample_batch (batch_id, writer, samples)
VALUES ({batch_id}, {writer}, {samples})
ON CONFLICT (batch_id) DO NOTHING;

-- name: copy_samples
COPY sample (
    t, vehicle_ms, seq, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, vel_n_cms, vel_e_cms, vel_d_cms,
    heading_cdeg, battery_pct_x10, voltage_mv, current_ca, roll_cdeg, pitch_cdeg, wind_n_cms, wind_e_cms,
    link_pct_x10, step, armed, on_ground, vehicle_id, mode, mission_id, extra
) FROM STDIN (FORMAT binary);

-- name: make_newest
-- Of the session alone, and empty again after the transaction.
CREATE TEMP TABLE IF NOT EXISTS newest_sample (LIKE latest_sample) ON COMMIT DELETE ROWS;

-- name: update_latest
-- An update costs the server two thirds of what INSERT ... ON CONFLICT DO UPDATE does, and a vehicle is new but once.
WITH changed AS (
    UPDATE latest_sample AS l SET
        t = n.t, vehicle_ms = n.vehicle_ms, seq = n.seq, lat_e7 = n.lat_e7, lon_e7 = n.lon_e7,
        alt_amsl_cm = n.alt_amsl_cm, alt_home_cm = n.alt_home_cm, vel_n_cms = n.vel_n_cms, vel_e_cms = n.vel_e_cms,
        vel_d_cms = n.vel_d_cms, heading_cdeg = n.heading_cdeg, battery_pct_x10 = n.battery_pct_x10,
        voltage_mv = n.voltage_mv, current_ca = n.current_ca, roll_cdeg = n.roll_cdeg, pitch_cdeg = n.pitch_cdeg,
        wind_n_cms = n.wind_n_cms, wind_e_cms = n.wind_e_cms, link_pct_x10 = n.link_pct_x10, step = n.step,
        armed = n.armed, on_ground = n.on_ground, mode = n.mode, mission_id = n.mission_id, extra = n.extra
    FROM newest_sample AS n
    WHERE l.vehicle_id = n.vehicle_id AND (l.t, l.seq) < (n.t, n.seq)
)
INSERT INTO latest_sample
SELECT * FROM newest_sample AS n
WHERE NOT EXISTS (SELECT FROM latest_sample AS l WHERE l.vehicle_id = n.vehicle_id)
ORDER BY vehicle_id
ON CONFLICT (vehicle_id) DO NOTHING;

-- name: latest
SELECT t, vehicle_ms, seq, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, vel_n_cms, vel_e_cms, vel_d_cms,
    heading_cdeg, battery_pct_x10, voltage_mv, current_ca, roll_cdeg, pitch_cdeg, wind_n_cms, wind_e_cms,
    link_pct_x10, step, armed, on_ground, vehicle_id, mode, mission_id, extra
FROM latest_sample
WHERE %(vehicle_ids)s::text[] IS NULL OR vehicle_id = ANY (%(vehicle_ids)s::text[])
ORDER BY vehicle_id;

-- name: ensure_partitions
-- A hypertable makes its chunks by itself.
SELECT count(*) FILTER (WHERE sample_ensure_partition(day::date)) AS made
FROM generate_series(%(first)s::date, %(last)s::date, interval '1 day') AS day
WHERE EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = 'sample'::regclass);

-- name: forget_batches
DELETE FROM sample_batch WHERE written_wall < clock_timestamp() - %(age)s::interval;

-- name: copy_events
COPY vehicle_event (vehicle_id, t, severity, kind, text) FROM STDIN (FORMAT binary);

-- name: note_gaps
-- Told again, of the same beginning, a gap can only have grown.
INSERT INTO telemetry_gap AS gap (vehicle_id, began_at, ended_at, cause, samples)
SELECT vehicle_id, began_at, ended_at, 'dropped', samples
FROM unnest(%(vehicle_ids)s::text[], %(began)s::timestamptz[], %(ended)s::timestamptz[], %(samples)s::bigint[])
    AS dropped (vehicle_id, began_at, ended_at, samples)
ON CONFLICT (vehicle_id, began_at, cause) DO UPDATE SET
    ended_at = greatest(gap.ended_at, excluded.ended_at), samples = greatest(gap.samples, excluded.samples);
