-- name: report
-- An older report of the same aircraft changes nothing, and no receiver takes a person's word away.
INSERT INTO manned_aircraft (region_id, ident, name, source, lat, lon, alt_amsl_m, alt_error_m, radius_m, track_deg,
    speed_mps, climb_mps, observed_at, expires_at, reported_by)
SELECT %(region_id)s, r.ident, r.name, %(source)s, r.lat, r.lon, r.alt_amsl_m, r.alt_error_m, r.radius_m, r.track_deg,
    r.speed_mps, r.climb_mps, r.observed_at, r.expires_at, %(actor)s
FROM jsonb_to_recordset(%(rows)s) AS r (ident text, name text, lat double precision, lon double precision,
    alt_amsl_m double precision, alt_error_m double precision, radius_m double precision, track_deg double precision,
    speed_mps double precision, climb_mps double precision, observed_at timestamptz, expires_at timestamptz)
ORDER BY r.ident
ON CONFLICT (region_id, ident) DO UPDATE SET name = excluded.name, source = excluded.source, lat = excluded.lat,
    lon = excluded.lon, alt_amsl_m = excluded.alt_amsl_m, alt_error_m = excluded.alt_error_m,
    radius_m = excluded.radius_m, track_deg = excluded.track_deg, speed_mps = excluded.speed_mps,
    climb_mps = excluded.climb_mps, observed_at = excluded.observed_at, expires_at = excluded.expires_at,
    reported_by = excluded.reported_by
WHERE excluded.observed_at >= manned_aircraft.observed_at
    AND (manned_aircraft.source = excluded.source OR manned_aircraft.expires_at <= excluded.observed_at)
RETURNING *

-- name: present
SELECT * FROM manned_aircraft WHERE region_id = %(region_id)s AND expires_at > %(at)s
ORDER BY expires_at DESC, ident LIMIT %(limit)s

-- name: remove
DELETE FROM manned_aircraft WHERE region_id = %(region_id)s AND ident = %(ident)s RETURNING *

-- name: forget_old
DELETE FROM manned_aircraft WHERE expires_at < %(before)s
