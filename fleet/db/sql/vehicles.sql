-- name: insert
INSERT INTO vehicle (vehicle_id, region_id, type_id, kind, home_site, pad, link, hardware_uid, simulated,
    category, registered_at)
VALUES (%(vehicle_id)s, %(region_id)s, %(type_id)s, %(kind)s, %(home_site)s, %(pad)s, %(link)s, %(hardware_uid)s,
    %(simulated)s, %(category)s, %(at)s)
ON CONFLICT (vehicle_id) DO NOTHING
RETURNING *

-- name: get
SELECT * FROM vehicle WHERE vehicle_id = %(vehicle_id)s

-- name: active
SELECT * FROM vehicle WHERE retired_at IS NULL AND (%(region_id)s::text IS NULL OR region_id = %(region_id)s)
ORDER BY vehicle_id
LIMIT %(limit)s

-- name: on_mission
SELECT 1 FROM mission
WHERE vehicle_id = %(vehicle_id)s AND state IN ('starting', 'underway', 'held', 'returning') LIMIT 1

-- name: retire
UPDATE vehicle SET retired_at = %(at)s WHERE vehicle_id = %(vehicle_id)s AND retired_at IS NULL RETURNING vehicle_id
