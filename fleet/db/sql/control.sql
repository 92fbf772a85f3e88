-- name: ensure
INSERT INTO vehicle_control (vehicle_id, since) VALUES (%(vehicle_id)s, %(at)s) ON CONFLICT (vehicle_id) DO NOTHING

-- name: lock
SELECT * FROM vehicle_control WHERE vehicle_id = %(vehicle_id)s FOR UPDATE

-- name: get
SELECT * FROM vehicle_control WHERE vehicle_id = %(vehicle_id)s

-- name: listing
-- A vehicle that nobody has ever controlled has no row.
SELECT c.vehicle_id, c.pilot, u.display_name, c.epoch, c.since, c.offered_to, c.offered_at,
    c.pilot IS NOT NULL AND (d.seen_wall IS NULL
        OR d.seen_wall <= clock_timestamp() - make_interval(secs => %(silent_s)s)) AS silent
FROM vehicle_control c JOIN vehicle v USING (vehicle_id)
LEFT JOIN app_user u ON u.user_id = c.pilot
LEFT JOIN pilot_duty d ON d.pilot = c.pilot AND d.ended_at IS NULL
WHERE v.region_id = %(region_id)s AND v.retired_at IS NULL
ORDER BY c.vehicle_id

-- name: give
UPDATE vehicle_control SET pilot = %(pilot)s, epoch = epoch + 1, since = %(at)s, offered_to = NULL, offered_at = NULL
WHERE vehicle_id = %(vehicle_id)s
RETURNING *

-- name: offer
UPDATE vehicle_control SET offered_to = %(to)s, offered_at = CASE WHEN %(to)s::text IS NULL THEN NULL
    ELSE %(at)s::timestamptz END
WHERE vehicle_id = %(vehicle_id)s
RETURNING *

-- name: free_all
UPDATE vehicle_control SET pilot = NULL, epoch = epoch + 1, since = %(at)s, offered_to = NULL, offered_at = NULL
WHERE pilot = %(pilot)s
RETURNING vehicle_id

-- name: withdraw_offers_to
UPDATE vehicle_control SET offered_to = NULL, offered_at = NULL WHERE offered_to = %(pilot)s

-- name: expire_outdated
UPDATE command SET state = 'expired', finished_at = %(at)s, outcome = %(why)s
FROM vehicle_control c
WHERE c.vehicle_id = command.vehicle_id AND command.vehicle_id = ANY (%(vehicle_ids)s)
    AND command.state IN ('proposed', 'pending') AND command.control_epoch < c.epoch

-- name: tended
-- What a pilot may not leave alone: what moves, and what will set out.
SELECT c.vehicle_id, m.mission_id, m.state FROM vehicle_control c JOIN mission m USING (vehicle_id)
WHERE c.pilot = %(pilot)s AND (%(vehicle_id)s::text IS NULL OR c.vehicle_id = %(vehicle_id)s)
    AND m.state IN ('accepted', 'starting', 'underway', 'held', 'returning')
ORDER BY c.vehicle_id

-- name: note_on_mission
-- Who flies is part of the history of a flight; its state stays what it is.
INSERT INTO mission_event (mission_id, at, from_state, to_state, cause)
SELECT mission_id, %(at)s, state, state, %(cause)s FROM mission
WHERE vehicle_id = %(vehicle_id)s AND state IN ('accepted', 'starting', 'underway', 'held', 'returning')

-- name: active_mission
SELECT mission_id FROM mission
WHERE vehicle_id = %(vehicle_id)s AND state IN ('starting', 'underway', 'held', 'returning')

-- name: payload
-- What is still aboard of the mission that a vehicle is on.
SELECT coalesce(sum(o.mass_kg), 0) AS mass_kg FROM mission m
JOIN mission_order mo ON mo.mission_id = m.mission_id AND mo.open JOIN delivery_order o USING (order_id)
WHERE m.vehicle_id = %(vehicle_id)s AND m.state IN ('starting', 'underway', 'held', 'returning')
