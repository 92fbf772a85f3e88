-- What one vehicle did. Ranges hold their start and not their end.

-- name: count
SELECT count(*) AS samples FROM sample
WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s;

-- name: positions_up_to
SELECT count(*) AS samples FROM (
    SELECT 1 FROM sample
    WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s AND lat_e7 IS NOT NULL
    LIMIT %(limit)s
) AS positions;

-- name: track_all
SELECT t, vehicle_ms, seq, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, vel_n_cms, vel_e_cms, vel_d_cms,
    heading_cdeg, battery_pct_x10, voltage_mv, current_ca, roll_cdeg, pitch_cdeg, wind_n_cms, wind_e_cms,
    link_pct_x10, step, armed, on_ground, vehicle_id, mode, mission_id, extra
FROM sample
WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s AND lat_e7 IS NOT NULL
ORDER BY t, seq
LIMIT %(limit)s;

-- name: track_buckets
-- The last sample of each bucket: one descent of the index a bucket, however many samples lie in it.
SELECT chosen.*
FROM unnest(%(lows)s::timestamptz[], %(highs)s::timestamptz[]) AS bucket (low, high)
CROSS JOIN LATERAL (
    SELECT t, vehicle_ms, seq, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, vel_n_cms, vel_e_cms, vel_d_cms,
        heading_cdeg, battery_pct_x10, voltage_mv, current_ca, roll_cdeg, pitch_cdeg, wind_n_cms, wind_e_cms,
        link_pct_x10, step, armed, on_ground, vehicle_id, mode, mission_id, extra
    FROM sample
    WHERE vehicle_id = %(vehicle_id)s AND t >= bucket.low AND t < bucket.high AND lat_e7 IS NOT NULL
    ORDER BY t DESC, seq DESC
    LIMIT 1
) AS chosen
ORDER BY bucket.low;

-- name: events
SELECT vehicle_id, t, severity, text, kind FROM vehicle_event
WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s
ORDER BY t DESC, event_id DESC
LIMIT %(limit)s;
