-- name: acquire
-- A free or expired lease is taken; our own name's is taken over at once, since two processes of one name never
-- run at the same time. The epoch grows with every new holder.
INSERT INTO lease AS l (vehicle_id, holder, epoch, expires_wall)
SELECT v.vehicle_id, %(holder)s, 1, clock_timestamp() + make_interval(secs => %(ttl_s)s)
FROM vehicle v WHERE v.retired_at IS NULL AND v.vehicle_id = ANY(%(vehicle_ids)s)
ON CONFLICT (vehicle_id) DO UPDATE
    SET holder = excluded.holder, epoch = l.epoch + 1, expires_wall = excluded.expires_wall
    WHERE l.expires_wall < clock_timestamp() OR split_part(l.holder, '/', 1) = split_part(excluded.holder, '/', 1)
RETURNING vehicle_id, epoch, listened_until

-- name: renew
UPDATE lease SET expires_wall = clock_timestamp() + make_interval(secs => %(ttl_s)s),
    listened_until = CASE WHEN vehicle_id = ANY(%(heard)s) THEN %(at)s ELSE listened_until END
WHERE holder = %(holder)s AND vehicle_id = ANY(%(vehicle_ids)s) RETURNING vehicle_id, epoch

-- name: release
UPDATE lease SET expires_wall = clock_timestamp(),
    listened_until = CASE WHEN vehicle_id = ANY(%(heard)s) THEN %(at)s ELSE listened_until END
WHERE holder = %(holder)s

-- name: free_vehicles
SELECT v.vehicle_id FROM vehicle v LEFT JOIN lease l USING (vehicle_id)
WHERE v.retired_at IS NULL AND (l.vehicle_id IS NULL OR l.expires_wall < clock_timestamp()
    OR (split_part(l.holder, '/', 1) = split_part(%(holder)s, '/', 1) AND l.holder <> %(holder)s))
ORDER BY v.vehicle_id
LIMIT %(limit)s

-- name: fence
SELECT 1 AS held FROM lease WHERE vehicle_id = %(vehicle_id)s AND holder = %(holder)s AND epoch = %(epoch)s FOR KEY SHARE
