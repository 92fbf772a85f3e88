-- name: begin
INSERT INTO pilot_duty (pilot, began_at) VALUES (%(pilot)s, %(at)s)
ON CONFLICT (pilot) WHERE ended_at IS NULL DO NOTHING
RETURNING *

-- name: beat
UPDATE pilot_duty SET seen_wall = clock_timestamp() WHERE pilot = %(pilot)s AND ended_at IS NULL RETURNING *

-- name: hear
-- Waits for nobody: whoever holds the row is at work on the same pilot.
UPDATE pilot_duty SET seen_wall = clock_timestamp() WHERE duty_id = (SELECT duty_id FROM pilot_duty
    WHERE pilot = %(pilot)s AND ended_at IS NULL FOR UPDATE SKIP LOCKED)

-- name: lock
SELECT * FROM pilot_duty WHERE pilot = %(pilot)s AND ended_at IS NULL FOR UPDATE

-- name: end
UPDATE pilot_duty SET ended_at = %(at)s, seen_wall = clock_timestamp() WHERE duty_id = %(duty_id)s RETURNING *

-- name: present
SELECT 1 FROM pilot_duty WHERE pilot = %(pilot)s AND ended_at IS NULL
    AND seen_wall > clock_timestamp() - make_interval(secs => %(silent_s)s)

-- name: listing
SELECT d.pilot AS user_id, coalesce(u.display_name, d.pilot) AS display_name, d.began_at AS since,
    extract(epoch FROM clock_timestamp() - d.seen_wall)::float8 AS quiet_s,
    d.seen_wall <= clock_timestamp() - make_interval(secs => %(silent_s)s) AS silent,
    (SELECT coalesce(array_agg(c.vehicle_id ORDER BY c.vehicle_id), '{}') FROM vehicle_control c
        WHERE c.pilot = d.pilot) AS vehicles
FROM pilot_duty d LEFT JOIN app_user u ON u.user_id = d.pilot
WHERE d.ended_at IS NULL
ORDER BY d.began_at, d.pilot

-- name: silent
-- Pilots who have given no sign of life for too long, or are not on duty at all, while what they control moves.
SELECT c.pilot, coalesce(max(u.display_name), c.pilot) AS display_name,
    extract(epoch FROM clock_timestamp() - max(d.seen_wall))::float8 AS quiet_s,
    array_agg(DISTINCT c.vehicle_id ORDER BY c.vehicle_id) AS vehicles
FROM vehicle_control c JOIN mission m USING (vehicle_id)
LEFT JOIN app_user u ON u.user_id = c.pilot
LEFT JOIN pilot_duty d ON d.pilot = c.pilot AND d.ended_at IS NULL
WHERE m.state IN ('starting', 'underway', 'held', 'returning')
GROUP BY c.pilot
HAVING max(d.seen_wall) IS NULL OR max(d.seen_wall) <= clock_timestamp() - make_interval(secs => %(silent_s)s)
ORDER BY c.pilot
