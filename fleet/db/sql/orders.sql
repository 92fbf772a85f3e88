-- name: insert_all
INSERT INTO delivery_order (order_id, region_id, external_ref, state, pickup_site, dropoff_site, recipient, goods,
    mass_kg, volume_l, earliest, latest, priority, created_at, changed_at)
SELECT r.order_id, %(region_id)s, r.external_ref, 'received', r.pickup_site, r.dropoff_site, r.recipient, r.goods,
    r.mass_kg, r.volume_l, r.earliest, r.latest, r.priority, %(at)s, %(at)s
FROM jsonb_to_recordset(%(rows)s) AS r (order_id text, external_ref text, pickup_site text, dropoff_site text,
    recipient text, goods text, mass_kg double precision, volume_l double precision, earliest timestamptz,
    latest timestamptz, priority integer)
ORDER BY r.external_ref
ON CONFLICT (region_id, external_ref) DO NOTHING
RETURNING order_id, external_ref

-- name: by_refs
SELECT * FROM delivery_order WHERE region_id = %(region_id)s AND external_ref = ANY(%(refs)s)

-- name: get
SELECT * FROM delivery_order WHERE order_id = %(order_id)s

-- name: lock
SELECT * FROM delivery_order WHERE order_id = %(order_id)s FOR UPDATE

-- name: get_shown
SELECT o.*, m.mission_id, m.vehicle_id, m.state AS mission_state,
    (SELECT (stop ->> 'arrive')::timestamptz FROM jsonb_array_elements(m.trip -> 'stops') AS stop
        WHERE stop -> 'order_ids' ? o.order_id AND m.ended_at IS NULL LIMIT 1) AS eta
FROM delivery_order o
LEFT JOIN mission_order mo ON mo.order_id = o.order_id AND mo.open
LEFT JOIN mission m ON m.mission_id = mo.mission_id
WHERE o.order_id = %(order_id)s

-- name: list_all
-- The newest ones, when there are more than fit.
SELECT o.*, m.mission_id, m.vehicle_id, m.state AS mission_state,
    (SELECT (stop ->> 'arrive')::timestamptz FROM jsonb_array_elements(m.trip -> 'stops') AS stop
        WHERE stop -> 'order_ids' ? o.order_id AND m.ended_at IS NULL LIMIT 1) AS eta
FROM (SELECT * FROM delivery_order
    WHERE region_id = %(region_id)s AND (%(state)s::text IS NULL OR state = %(state)s)
    ORDER BY created_at DESC, order_id DESC
    LIMIT %(limit)s) AS o
LEFT JOIN mission_order mo ON mo.order_id = o.order_id AND mo.open
LEFT JOIN mission m ON m.mission_id = mo.mission_id
ORDER BY o.created_at, o.order_id

-- name: waiting
SELECT * FROM delivery_order
WHERE region_id = %(region_id)s AND state = 'received' AND latest > %(at)s
ORDER BY priority DESC, latest, order_id
LIMIT %(limit)s

-- name: overdue
-- One that somebody else is working on is looked at again the next time.
SELECT order_id, reason FROM delivery_order WHERE region_id = %(region_id)s AND state = 'received' AND latest <= %(at)s
FOR UPDATE SKIP LOCKED

-- name: set_state
UPDATE delivery_order SET state = %(to_state)s, reason = %(reason)s, changed_at = %(at)s,
    reason_cause = CASE WHEN %(reason)s::text IS NOT NULL THEN coalesce(%(reason_cause)s, reason_cause) END
WHERE order_id = %(order_id)s

-- name: fetch_from
UPDATE delivery_order SET pickup_site = %(site_id)s, changed_at = %(at)s WHERE order_id = %(order_id)s

-- name: set_reason
-- A soft cause does not take the place of a hard one.
UPDATE delivery_order SET reason = %(reason)s, reason_cause = %(reason_cause)s, changed_at = %(at)s
WHERE order_id = %(order_id)s AND (NOT %(soft)s OR coalesce(reason_cause = ANY(%(soft_causes)s), true))

-- name: insert_event
INSERT INTO order_event (order_id, at, from_state, to_state, cause)
VALUES (%(order_id)s, %(at)s, %(from_state)s, %(to_state)s, %(cause)s)

-- name: note
INSERT INTO order_event (order_id, at, from_state, to_state, cause)
SELECT order_id, %(at)s, state, state, %(words)s FROM delivery_order WHERE order_id = %(order_id)s

-- name: events
SELECT at, from_state, to_state, cause FROM order_event WHERE order_id = %(order_id)s ORDER BY event_id
