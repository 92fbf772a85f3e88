-- name: insert
INSERT INTO delivery_order (order_id, region_id, external_ref, state, pickup_site, dropoff_site, recipient, goods,
    mass_kg, volume_l, earliest, latest, priority, created_at, changed_at)
VALUES (%(order_id)s, %(region_id)s, %(external_ref)s, 'received', %(pickup_site)s, %(dropoff_site)s, %(recipient)s,
    %(goods)s, %(mass_kg)s, %(volume_l)s, %(earliest)s, %(latest)s, %(priority)s, %(at)s, %(at)s)
ON CONFLICT (region_id, external_ref) DO NOTHING
RETURNING *

-- name: by_ref
SELECT * FROM delivery_order WHERE region_id = %(region_id)s AND external_ref = %(external_ref)s

-- name: get
SELECT * FROM delivery_order WHERE order_id = %(order_id)s

-- name: lock
SELECT * FROM delivery_order WHERE order_id = %(order_id)s FOR UPDATE

-- name: list_all
SELECT o.*, m.mission_id, m.vehicle_id, m.state AS mission_state, m.trip AS mission_trip
FROM delivery_order o
LEFT JOIN mission_order mo ON mo.order_id = o.order_id AND mo.open
LEFT JOIN mission m ON m.mission_id = mo.mission_id
WHERE o.region_id = %(region_id)s AND (%(state)s::text IS NULL OR o.state = %(state)s)
ORDER BY o.created_at, o.order_id
LIMIT %(limit)s

-- name: waiting
SELECT * FROM delivery_order
WHERE region_id = %(region_id)s AND state = 'received' AND latest > %(at)s
ORDER BY priority DESC, latest, order_id
LIMIT %(limit)s

-- name: overdue
SELECT * FROM delivery_order WHERE region_id = %(region_id)s AND state = 'received' AND latest <= %(at)s FOR UPDATE

-- name: set_state
UPDATE delivery_order SET state = %(to_state)s, reason = %(reason)s, changed_at = %(at)s WHERE order_id = %(order_id)s

-- name: set_reason
UPDATE delivery_order SET reason = %(reason)s, changed_at = %(at)s WHERE order_id = %(order_id)s

-- name: insert_event
INSERT INTO order_event (order_id, at, from_state, to_state, cause)
VALUES (%(order_id)s, %(at)s, %(from_state)s, %(to_state)s, %(cause)s)

-- name: events
SELECT at, from_state, to_state, cause FROM order_event WHERE order_id = %(order_id)s ORDER BY event_id
