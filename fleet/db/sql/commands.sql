-- name: insert
INSERT INTO command (command_id, idempotency_key, vehicle_id, mission_id, kind, issuer, issued_at, state, expires_at)
VALUES (%(command_id)s, %(idempotency_key)s, %(vehicle_id)s, (SELECT mission_id FROM mission
        WHERE vehicle_id = %(vehicle_id)s AND state IN ('starting', 'underway', 'held', 'returning')),
    %(kind)s, %(issuer)s, %(issued_at)s, %(state)s, %(expires_at)s)
ON CONFLICT (issuer, idempotency_key) DO NOTHING
RETURNING *

-- name: by_key
SELECT * FROM command WHERE issuer = %(issuer)s AND idempotency_key = %(idempotency_key)s

-- name: get
SELECT * FROM command WHERE command_id = %(command_id)s

-- name: withdraw_others
UPDATE command SET state = 'expired', finished_at = %(issued_at)s,
    outcome = 'withdrawn: ' || %(issuer)s || ' gave a hold after it'
WHERE vehicle_id = %(vehicle_id)s AND state IN ('proposed', 'pending') AND kind <> 'hold'

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
        AND (kind = 'hold' OR NOT %(only_holds)s)
    ORDER BY (kind <> 'hold'), issued_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *

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

-- name: list_all
SELECT * FROM command WHERE (%(vehicle_id)s::text IS NULL OR vehicle_id = %(vehicle_id)s)
ORDER BY issued_at DESC LIMIT %(limit)s
