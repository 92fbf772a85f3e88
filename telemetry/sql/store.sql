-- Writing batches of samples, and what is newest.

-- name: claim_batch
INSERT INTO sample_batch (batch_id, writer, samples)
VALUES (%(batch_id)s, %(writer)s, %(samples)s)
ON CONFLICT (batch_id) DO NOTHING
RETURNING batch_id;

-- name: copy_samples
COPY sample (
    t, vehicle_ms, seq, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, vel_n_cms, vel_e_cms, vel_d_cms,
    heading_cdeg, battery_pct_x10, voltage_mv, current_ca, roll_cdeg, pitch_cdeg, wind_n_cms, wind_e_cms,
    link_pct_x10, step, armed, on_ground, vehicle_id, mode, mission_id, extra
) FROM STDIN (FORMAT binary);

-- name: make_newest
-- Of the session alone, and empty again after the transaction.
CREATE TEMP TABLE IF NOT EXISTS newest_sample (LIKE latest_sample) ON COMMIT DELETE ROWS;

-- name: copy_newest
COPY newest_sample (
    t, vehicle_ms, seq, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, vel_n_cms, vel_e_cms, vel_d_cms,
    heading_cdeg, battery_pct_x10, voltage_mv, current_ca, roll_cdeg, pitch_cdeg, wind_n_cms, wind_e_cms,
    link_pct_x10, step, armed, on_ground, vehicle_id, mode, mission_id, extra
) FROM STDIN (FORMAT binary);

-- name: upsert_latest
INSERT INTO latest_sample
SELECT * FROM newest_sample
ON CONFLICT (vehicle_id) DO UPDATE SET
    t = excluded.t, vehicle_ms = excluded.vehicle_ms, seq = excluded.seq,
    lat_e7 = excluded.lat_e7, lon_e7 = excluded.lon_e7,
    alt_amsl_cm = excluded.alt_amsl_cm, alt_home_cm = excluded.alt_home_cm,
    vel_n_cms = excluded.vel_n_cms, vel_e_cms = excluded.vel_e_cms, vel_d_cms = excluded.vel_d_cms,
    heading_cdeg = excluded.heading_cdeg, battery_pct_x10 = excluded.battery_pct_x10,
    voltage_mv = excluded.voltage_mv, current_ca = excluded.current_ca,
    roll_cdeg = excluded.roll_cdeg, pitch_cdeg = excluded.pitch_cdeg,
    wind_n_cms = excluded.wind_n_cms, wind_e_cms = excluded.wind_e_cms,
    link_pct_x10 = excluded.link_pct_x10, step = excluded.step, armed = excluded.armed,
    on_ground = excluded.on_ground, mode = excluded.mode, mission_id = excluded.mission_id,
    extra = excluded.extra
WHERE (latest_sample.t, latest_sample.seq) < (excluded.t, excluded.seq);

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

-- name: add_event
INSERT INTO vehicle_event (vehicle_id, t, severity, text)
VALUES (%(vehicle_id)s, %(t)s, %(severity)s, %(text)s);
