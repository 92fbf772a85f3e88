-- name: insert
INSERT INTO command (command_id, idempotency_key, vehicle_id, mission_id, kind, params, issuer, issued_at, state,
    expires_at, control_epoch, preview_ja, preview_en)
VALUES (%(command_id)s, %(idempotency_key)s, %(vehicle_id)s, (SELECT mission_id FROM mission
        WHERE vehicle_id = %(vehicle_id)s AND state IN ('starting', 'underway', 'held', 'returning')),
    %(kind)s, %(params)s, %(issuer)s, %(issued_at)s, %(state)s, %(expires_at)s, %(control_epoch)s, %(preview_ja)s,
    %(preview_en)s)
ON CONFLICT (issuer, idempotency_key) DO NOTHING
RETURNING *

-- name: one_at_a_time
SELECT pg_advisory_xact_lock(hashtextextended('command:' || %(vehicle_id)s, 0))

-- name: by_key
SELECT * FROM command WHERE issuer = %(issuer)s AND idempotency_key = %(idempotency_key)s

-- name: get
SELECT * FROM command WHERE command_id = %(command_id)s

-- name: withdraw_others
UPDATE command SET state = 'expired', finished_at = %(issued_at)s,
    outcome = 'withdrawn: ' || %(issuer)s || ' gave ' || %(stop)s || ' after it'
WHERE vehicle_id = %(vehicle_id)s AND state IN ('proposed', 'pending') AND kind <> ALL (%(stops)s)

-- name: confirm
UPDATE command SET state = 'pending', expires_at = %(expires_at)s
WHERE command_id = %(command_id)s AND state = 'proposed' AND expires_at > %(at)s
RETURNING *

-- name: expire
UPDATE command SET state = 'expired', finished_at = %(at)s, outcome = 'too late: it was not carried out in time'
WHERE command_id IN (SELECT command_id FROM command WHERE state IN ('proposed', 'pending') AND expires_at <= %(at)s
    ORDER BY command_id FOR UPDATE SKIP LOCKED)
RETURNING kind

-- name: claim
UPDATE command SET state = 'sent', sent_at = %(at)s, lease_epoch = %(epoch)s
WHERE command_id = (SELECT command_id FROM command
    WHERE vehicle_id = %(vehicle_id)s AND state = 'pending' AND expires_at > %(at)s
        AND (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s))
        AND (control_epoch IS NULL OR control_epoch =
            (SELECT epoch FROM vehicle_control c WHERE c.vehicle_id = command.vehicle_id))
    ORDER BY coalesce(array_position(%(stops)s, kind), 99), issued_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *

-- name: waiting
SELECT DISTINCT vehicle_id FROM command WHERE vehicle_id = ANY (%(vehicle_ids)s) AND state = 'pending'

-- name: sent_to
UPDATE command SET sent_to = %(site_id)s WHERE command_id = %(command_id)s AND state = 'sent'

-- name: expire_outdated
-- What was said under an older epoch of control than the vehicle's own now.
UPDATE command SET state = 'expired', finished_at = %(at)s,
    outcome = 'outdated: control of the vehicle changed hands before it was sent'
FROM vehicle_control c
WHERE command.vehicle_id = %(vehicle_id)s AND c.vehicle_id = command.vehicle_id AND command.state = 'pending'
    AND command.control_epoch < c.epoch

-- name: finish
UPDATE command SET state = %(state)s, finished_at = %(at)s, outcome = %(outcome)s
WHERE command_id = %(command_id)s AND state = 'sent'

-- name: abandon
UPDATE command SET state = 'failed', finished_at = %(at)s,
    outcome = 'the gateway stopped before the outcome was known; read the vehicle''s state'
WHERE vehicle_id = %(vehicle_id)s AND state = 'sent'

-- name: latest_of_vehicle
SELECT kind, issuer, issued_at, sent_at, mission_id FROM command
WHERE vehicle_id = %(vehicle_id)s AND state IN ('sent', 'done') AND sent_at >= %(since)s
ORDER BY sent_at DESC LIMIT 1

-- name: newest_move
-- The newest command that has changed where a vehicle goes, or may have.
SELECT * FROM command
WHERE vehicle_id = %(vehicle_id)s AND kind = ANY (%(moves)s) AND state IN ('sent', 'done') AND sent_at >= %(since)s
ORDER BY sent_at DESC LIMIT 1

-- name: list_all
SELECT * FROM command WHERE (%(vehicle_id)s::text IS NULL OR vehicle_id = %(vehicle_id)s)
ORDER BY issued_at DESC LIMIT %(limit)s
