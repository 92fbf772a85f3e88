-- name: insert
INSERT INTO mission_track (mission_id, given) VALUES (%(mission_id)s, %(given)s)

-- name: update
UPDATE mission_track SET given = %(given)s WHERE mission_id = %(mission_id)s

-- name: one_launch_at_a_time
SELECT pg_advisory_xact_lock(hashtextextended('launch:' || %(region_id)s, 0))

-- name: own
SELECT m.mission_id, m.state, m.planned_depart, coalesce(m.started_at, m.changed_at) AS began_at, t.given
FROM mission m JOIN mission_track t USING (mission_id) WHERE m.mission_id = %(mission_id)s

-- name: moving
SELECT m.mission_id, m.vehicle_id, v.type_id, m.state, m.trip, m.planned_depart,
    coalesce(m.started_at, m.changed_at) AS began_at, t.given
FROM mission m JOIN mission_track t USING (mission_id) JOIN vehicle v USING (vehicle_id)
WHERE m.region_id = %(region_id)s AND m.mission_id <> %(mission_id)s AND v.kind = 'drone'
    AND m.state IN ('starting', 'underway', 'held', 'returning')

-- name: moving_one
SELECT m.mission_id, m.vehicle_id, v.type_id, m.state, m.trip, m.planned_depart,
    coalesce(m.started_at, m.changed_at) AS began_at, t.given
FROM mission m JOIN mission_track t USING (mission_id) JOIN vehicle v USING (vehicle_id)
WHERE m.mission_id = %(mission_id)s AND v.kind = 'drone' AND m.state IN ('starting', 'underway', 'held', 'returning')

-- name: open
SELECT m.planned_depart, t.given,
    CASE WHEN m.state IN ('starting', 'underway', 'held', 'returning')
        THEN coalesce(m.started_at, m.changed_at) END AS began_at
FROM mission m JOIN mission_track t USING (mission_id)
WHERE m.region_id = %(region_id)s AND m.state NOT IN ('completed', 'aborted', 'failed', 'cancelled')
