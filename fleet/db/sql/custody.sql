-- name: insert
INSERT INTO custody (order_id, at, holder_kind, holder_id, moved_by, mission_id, lat, lon, alt_amsl_m, evidence, detail)
VALUES (%(order_id)s, %(at)s, %(holder_kind)s, %(holder_id)s, %(moved_by)s, %(mission_id)s, %(lat)s, %(lon)s,
    %(alt_amsl_m)s, %(evidence)s, %(detail)s)
ON CONFLICT (order_id) WHERE holder_kind = 'recipient' DO NOTHING
RETURNING custody_id

-- name: chain
SELECT at, holder_kind, holder_id, moved_by, mission_id, lat, lon, alt_amsl_m, evidence, detail
FROM custody WHERE order_id = %(order_id)s ORDER BY custody_id

-- name: current
SELECT holder_kind, holder_id FROM custody WHERE order_id = %(order_id)s ORDER BY custody_id DESC LIMIT 1
