-- name: insert
INSERT INTO mission (mission_id, region_id, run_id, vehicle_id, ordinal, state, trip, planned_depart, planned_arrive,
    changed_at)
VALUES (%(mission_id)s, %(region_id)s, %(run_id)s, %(vehicle_id)s, %(ordinal)s, 'planned', %(trip)s,
    %(planned_depart)s, %(planned_arrive)s, %(at)s)

-- name: insert_order
INSERT INTO mission_order (mission_id, order_id, step) VALUES (%(mission_id)s, %(order_id)s, %(step)s)

-- name: get
SELECT * FROM mission WHERE mission_id = %(mission_id)s

-- name: lock
SELECT * FROM mission WHERE mission_id = %(mission_id)s FOR UPDATE

-- name: list_all
SELECT m.*, (SELECT coalesce(jsonb_agg(jsonb_build_object('order_id', mo.order_id, 'step', mo.step, 'open', mo.open,
        'state', o.state) ORDER BY mo.step), '[]')
    FROM mission_order mo JOIN delivery_order o USING (order_id) WHERE mo.mission_id = m.mission_id) AS orders
FROM mission m
WHERE m.region_id = %(region_id)s
ORDER BY m.planned_depart DESC, m.mission_id
LIMIT %(limit)s

-- name: open_times
-- When missions that have not ended should be where; next_due is the planned arrival at the next delivery, which
-- one on its way home does not make any more.
SELECT m.mission_id, m.vehicle_id, v.type_id, m.planned_depart, m.planned_arrive, m.started_at,
    (SELECT min((stop ->> 'arrive')::timestamptz)
        FROM jsonb_array_elements(m.trip -> 'stops') AS stop
        JOIN mission_order mo ON mo.mission_id = m.mission_id AND mo.open AND stop -> 'order_ids' ? mo.order_id
        WHERE m.state <> 'returning') AS next_due
FROM mission m JOIN vehicle v USING (vehicle_id)
WHERE m.region_id = %(region_id)s AND m.state NOT IN ('completed', 'aborted', 'failed', 'cancelled')
ORDER BY m.vehicle_id, m.planned_depart, m.ordinal

-- name: active
SELECT * FROM mission WHERE vehicle_id = %(vehicle_id)s AND state IN ('starting', 'underway', 'held', 'returning')

-- name: moving_vehicles
SELECT vehicle_id FROM mission
WHERE region_id = %(region_id)s AND state IN ('starting', 'underway', 'held', 'returning') ORDER BY vehicle_id

-- name: next_accepted
SELECT * FROM mission WHERE vehicle_id = %(vehicle_id)s AND state = 'accepted' ORDER BY planned_depart LIMIT 1

-- name: troubled
-- What became of the last mission that somebody had begun to carry out, and whether it still calls for an answer.
SELECT m.mission_id, m.state, m.reason, m.changed_at,
    (SELECT count(*) FROM mission_event me WHERE me.mission_id = m.mission_id AND me.to_state = 'starting'
        AND me.from_state IS DISTINCT FROM me.to_state) AS attempts,
    EXISTS (SELECT 1 FROM mission_order mo WHERE mo.mission_id = m.mission_id AND mo.open) AS parcels_aboard
FROM mission m
WHERE m.vehicle_id = %(vehicle_id)s AND m.state NOT IN ('planned', 'cancelled')
ORDER BY m.changed_at DESC LIMIT 1

-- name: unfinished_before
SELECT mission_id, state FROM mission
WHERE vehicle_id = %(vehicle_id)s AND planned_depart < %(planned_depart)s
    AND state NOT IN ('completed', 'aborted', 'failed', 'cancelled')
LIMIT 1

-- name: parcels_aboard
-- What an ended mission has left in a vehicle.
SELECT m.mission_id, m.state, count(*) AS parcels FROM mission m JOIN mission_order mo USING (mission_id)
WHERE m.vehicle_id = %(vehicle_id)s AND mo.open AND m.state IN ('completed', 'aborted', 'failed', 'cancelled')
GROUP BY m.mission_id, m.state
LIMIT 1

-- name: left_with
SELECT m.* FROM mission m JOIN mission_order mo USING (mission_id)
WHERE mo.order_id = %(order_id)s AND mo.open AND m.ended_at IS NOT NULL

-- name: busy_until
SELECT vehicle_id, max(planned_arrive) AS planned_arrive FROM mission
WHERE region_id = %(region_id)s AND state NOT IN ('completed', 'aborted', 'failed', 'cancelled')
GROUP BY vehicle_id

-- name: last_ended
SELECT vehicle_id, max(ended_at) AS ended_at FROM mission
WHERE region_id = %(region_id)s AND ended_at IS NOT NULL AND started_at IS NOT NULL
GROUP BY vehicle_id

-- name: set_state
UPDATE mission SET state = %(to_state)s, reason = %(reason)s, changed_at = %(at)s,
    started_at = CASE WHEN %(to_state)s = 'underway' THEN coalesce(started_at, %(at)s) ELSE started_at END,
    ended_at = CASE WHEN %(to_state)s IN ('completed', 'aborted', 'failed', 'cancelled') THEN %(at)s ELSE ended_at END,
    accepted_by = CASE WHEN %(to_state)s = 'accepted' THEN %(actor)s
                       WHEN %(to_state)s = 'loaded' THEN NULL ELSE accepted_by END
WHERE mission_id = %(mission_id)s

-- name: wait_for
UPDATE mission SET reason = %(words)s
WHERE mission_id = %(mission_id)s AND state = 'accepted' AND reason IS DISTINCT FROM %(words)s

-- name: set_step
UPDATE mission SET step = %(step)s WHERE mission_id = %(mission_id)s AND step <> %(step)s

-- name: insert_event
INSERT INTO mission_event (mission_id, at, from_state, to_state, cause)
VALUES (%(mission_id)s, %(at)s, %(from_state)s, %(to_state)s, %(cause)s)

-- name: note
INSERT INTO mission_event (mission_id, at, from_state, to_state, cause)
SELECT mission_id, %(at)s, state, state, %(words)s FROM mission WHERE mission_id = %(mission_id)s

-- name: events
SELECT at, from_state, to_state, cause FROM mission_event WHERE mission_id = %(mission_id)s ORDER BY event_id

-- name: start_attempts
-- A change of hands is an event of the same state.
SELECT count(*) AS attempts FROM mission_event
WHERE mission_id = %(mission_id)s AND to_state = 'starting' AND from_state IS DISTINCT FROM to_state

-- name: orders
SELECT mo.order_id, mo.step, mo.open, o.state FROM mission_order mo JOIN delivery_order o USING (order_id)
WHERE mo.mission_id = %(mission_id)s ORDER BY mo.step

-- name: close_order
UPDATE mission_order SET open = false WHERE mission_id = %(mission_id)s AND order_id = %(order_id)s

-- name: awaiting_unload
SELECT m.mission_id, m.vehicle_id, array_agg(mo.order_id ORDER BY mo.step) AS order_ids
FROM mission m JOIN mission_order mo USING (mission_id)
WHERE m.region_id = %(region_id)s AND mo.open AND m.state IN ('completed', 'aborted', 'failed', 'cancelled')
GROUP BY m.mission_id, m.vehicle_id
