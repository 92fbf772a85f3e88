-- name: insert
INSERT INTO ground_check (mission_id, name, ok, note, checked_at, checked_by, entry_id)
VALUES (%(mission_id)s, %(name)s, %(ok)s, %(note)s, %(at)s, %(actor)s, %(entry_id)s)

-- name: newest
SELECT DISTINCT ON (name) name, ok, note, checked_at, checked_by, entry_id FROM ground_check
WHERE mission_id = %(mission_id)s ORDER BY name, check_id DESC

-- name: inspection
-- The newest daily inspection of a vehicle since a moment.
SELECT e.entry_id, e.began_at, r.actor, r.content FROM log_entry e JOIN log_revision r USING (entry_id, revision)
WHERE e.vehicle_id = %(vehicle_id)s AND e.kind = 'inspection' AND NOT e.void
    AND e.began_at >= %(since)s AND e.began_at <= %(at)s
ORDER BY e.began_at DESC LIMIT 1
