-- Time in which nobody listened to a vehicle.

-- name: note_unheard
-- What the former listener heard and stored after it was last known to listen, it did hear. Told again, it is known.
INSERT INTO telemetry_gap (vehicle_id, began_at, ended_at, cause)
SELECT %(vehicle_id)s, began_at, %(ended_at)s, 'not_listening'
FROM (
    SELECT greatest(%(listened_until)s::timestamptz, (
        SELECT max(t) FROM sample
        WHERE vehicle_id = %(vehicle_id)s AND t > %(listened_until)s AND t < %(ended_at)s
    )) AS began_at
) AS known
WHERE %(ended_at)s - began_at >= %(least)s::interval
ON CONFLICT (vehicle_id, began_at, cause) DO NOTHING
RETURNING began_at;
