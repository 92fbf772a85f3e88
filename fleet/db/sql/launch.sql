-- name: ground
INSERT INTO grounding (grounding_id, region_id, scope_kind, scope_id, reason, grounded_at, grounded_by)
VALUES (%(grounding_id)s, %(region_id)s, %(scope_kind)s, %(scope_id)s, %(reason)s, %(at)s, %(actor)s)
ON CONFLICT (grounding_id) DO NOTHING
RETURNING *

-- name: lift
UPDATE grounding SET lifted_at = %(at)s, lifted_by = %(actor)s, lift_reason = %(reason)s
WHERE grounding_id = %(grounding_id)s AND region_id = %(region_id)s AND lifted_at IS NULL
RETURNING *

-- name: grounding
SELECT * FROM grounding WHERE grounding_id = %(grounding_id)s AND region_id = %(region_id)s

-- name: groundings
SELECT * FROM grounding WHERE region_id = %(region_id)s AND (lifted_at IS NULL OR NOT %(standing)s)
ORDER BY grounded_at DESC, grounding_id DESC LIMIT %(limit)s

-- name: groundings_of
-- What keeps one vehicle on the ground.
SELECT g.* FROM grounding g JOIN vehicle v ON v.region_id = g.region_id AND g.scope_id = CASE g.scope_kind
    WHEN 'vehicle' THEN v.vehicle_id WHEN 'type' THEN v.type_id ELSE v.region_id END
WHERE v.vehicle_id = %(vehicle_id)s AND g.lifted_at IS NULL
ORDER BY g.grounded_at

-- name: grounded_vehicles
SELECT DISTINCT v.vehicle_id FROM vehicle v JOIN grounding g ON v.region_id = g.region_id AND g.scope_id =
    CASE g.scope_kind WHEN 'vehicle' THEN v.vehicle_id WHEN 'type' THEN v.type_id ELSE v.region_id END
WHERE v.region_id = %(region_id)s AND g.lifted_at IS NULL

-- name: is_type_of_fleet
SELECT 1 FROM vehicle WHERE region_id = %(region_id)s AND type_id = %(type_id)s AND retired_at IS NULL LIMIT 1

-- name: insert_check
INSERT INTO airspace_check (region_id, checked_at, checked_by, source)
VALUES (%(region_id)s, %(at)s, %(actor)s, %(source)s)
RETURNING *

-- name: newest_check
SELECT * FROM airspace_check WHERE region_id = %(region_id)s ORDER BY checked_at DESC, check_id DESC LIMIT 1

-- name: declare
INSERT INTO emergency_airspace (airspace_id, region_id, name, kind, ring, begins_at, ends_at, declared_at, declared_by)
VALUES (%(airspace_id)s, %(region_id)s, %(name)s, %(kind)s, %(ring)s, %(begins_at)s, %(ends_at)s, %(at)s, %(actor)s)
RETURNING *

-- name: withdraw
UPDATE emergency_airspace SET withdrawn_at = %(at)s, withdrawn_by = %(actor)s
WHERE airspace_id = %(airspace_id)s AND region_id = %(region_id)s AND withdrawn_at IS NULL
RETURNING *

-- name: emergency
SELECT * FROM emergency_airspace WHERE airspace_id = %(airspace_id)s AND region_id = %(region_id)s

-- name: emergencies
-- Those that are in force or will be.
SELECT * FROM emergency_airspace
WHERE region_id = %(region_id)s AND withdrawn_at IS NULL AND (ends_at IS NULL OR ends_at > %(at)s)
ORDER BY begins_at, airspace_id

-- name: set_limit
INSERT INTO pilot_limit (region_id, category, most, source, set_at, set_by)
VALUES (%(region_id)s, %(category)s, %(most)s, %(source)s, %(at)s, %(actor)s)
ON CONFLICT (region_id, category) DO UPDATE SET most = excluded.most, source = excluded.source,
    set_at = excluded.set_at, set_by = excluded.set_by
RETURNING *

-- name: limits
SELECT category, most, source, set_at, set_by FROM pilot_limit WHERE region_id = %(region_id)s

-- name: airborne_of
-- The drones of a category in the air that a pilot controls now.
SELECT m.vehicle_id FROM mission m JOIN vehicle v USING (vehicle_id) LEFT JOIN vehicle_control c USING (vehicle_id)
WHERE m.region_id = %(region_id)s AND coalesce(c.pilot, m.accepted_by) = %(pilot)s AND v.kind = 'drone' AND v.category = %(category)s
    AND m.mission_id <> %(mission_id)s AND m.state IN ('starting', 'underway', 'held', 'returning')
ORDER BY m.vehicle_id
