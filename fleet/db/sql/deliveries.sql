-- Drop points, confirmations, evidence, codes and links.

-- name: put_point
INSERT INTO drop_point (region_id, site_id, class, unlock, note, set_at, set_by)
VALUES (%(region_id)s, %(site_id)s, %(class)s, %(unlock)s, %(note)s, %(at)s, %(actor)s)
ON CONFLICT (region_id, site_id) DO UPDATE SET class = excluded.class, unlock = excluded.unlock, note = excluded.note,
    set_at = excluded.set_at, set_by = excluded.set_by

-- name: drop_points
SELECT * FROM drop_point WHERE region_id = %(region_id)s ORDER BY site_id

-- name: say
INSERT INTO drop_confirmation (mission_id, step, clear, said_as, said_by, said_at, valid_until, used_at)
VALUES (%(mission_id)s, %(step)s, %(clear)s, %(said_as)s, %(said_by)s, %(at)s, %(until)s, %(used_at)s)
RETURNING *

-- name: confirmations
SELECT * FROM drop_confirmation
WHERE mission_id = %(mission_id)s AND step = %(step)s ORDER BY confirmation_id DESC LIMIT 50

-- name: use_confirmation
UPDATE drop_confirmation SET used_at = %(used_at)s WHERE confirmation_id = %(confirmation_id)s

-- name: gate_command
-- The pilot's command that ended a wait above a drop point: the commands that a person gave at it.
SELECT kind, issuer FROM command
WHERE mission_id = %(mission_id)s AND kind IN ('clear', 'skip') AND (params ->> 'step')::integer = %(step)s
    AND sent_at >= %(since)s AND state IN ('sent', 'done')
ORDER BY sent_at DESC LIMIT 1

-- name: add_evidence
INSERT INTO delivery_evidence (order_id, mission_id, step, at, evidence, given_by, detail, finding)
VALUES (%(order_id)s, %(mission_id)s, %(step)s, %(at)s, %(evidence)s, %(given_by)s, %(detail)s, %(finding)s)
ON CONFLICT (order_id, evidence, given_by, coalesce(mission_id, ''), coalesce(finding, ''), detail) DO NOTHING
RETURNING evidence_id

-- name: evidence_of
SELECT at, evidence, given_by, detail, finding, mission_id, step FROM delivery_evidence
WHERE order_id = %(order_id)s ORDER BY evidence_id

-- name: unweighed
-- Releases by drones whose power nobody has looked at: what left, and what was aboard before.
SELECT r.mission_id, r.step, r.at, r.vehicle_id, v.type_id, r.order_ids, r.parcel_kg, r.parcel_kg + coalesce((
        SELECT sum(o.mass_kg) FROM mission_order later JOIN delivery_order o USING (order_id)
        WHERE later.mission_id = r.mission_id AND NOT later.order_id = ANY(r.order_ids)
            AND (later.open OR later.step > r.step)), 0) AS aboard_kg
FROM (SELECT e.mission_id, e.step, e.given_by AS vehicle_id, min(e.at) AS at, array_agg(DISTINCT e.order_id) AS order_ids,
        (SELECT sum(o.mass_kg) FROM delivery_order o WHERE o.order_id = ANY(array_agg(DISTINCT e.order_id))) AS parcel_kg
    FROM delivery_evidence e
    WHERE e.at > %(oldest)s AND e.at <= %(newest)s AND e.finding IS NULL AND e.step IS NOT NULL
        AND e.evidence IN ('sensor', 'inferred')
    GROUP BY e.mission_id, e.step, e.given_by) AS r
JOIN vehicle v ON v.vehicle_id = r.vehicle_id AND v.kind = 'drone'
WHERE NOT EXISTS (SELECT 1 FROM delivery_evidence p WHERE p.mission_id = r.mission_id AND p.step = r.step
    AND p.given_by = 'power of ' || r.vehicle_id)

-- name: lighter_before
SELECT count(*) AS times FROM (SELECT DISTINCT mission_id, step FROM delivery_evidence
    WHERE given_by = %(given_by)s AND finding IS NULL LIMIT %(most)s) AS lighter

-- name: samples_between
SELECT t, vel_n_cms, vel_e_cms, vel_d_cms, voltage_mv, current_ca, on_ground FROM sample
WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s
ORDER BY t LIMIT 2000

-- name: prepare_code
INSERT INTO unlock_code (mission_id, order_id, made_at) VALUES (%(mission_id)s, %(order_id)s, %(at)s)
ON CONFLICT DO NOTHING

-- name: lock_code
-- The code of the mission that carries the order now, with where that mission is.
SELECT c.*, m.vehicle_id, m.state AS mission_state, mo.step, o.external_ref
FROM unlock_code c
JOIN mission m USING (mission_id)
JOIN mission_order mo USING (mission_id, order_id)
JOIN delivery_order o USING (order_id)
WHERE c.order_id = %(order_id)s AND mo.open AND m.ended_at IS NULL
FOR UPDATE OF c

-- name: draw_code
UPDATE unlock_code SET code_hash = %(code_hash)s, drawn_at = %(at)s, drawn_by = %(actor)s, wrong_tries = 0,
    locked_until = NULL
WHERE mission_id = %(mission_id)s AND order_id = %(order_id)s

-- name: wrong_try
UPDATE unlock_code SET wrong_tries = %(wrong_tries)s, locked_until = %(locked_until)s
WHERE mission_id = %(mission_id)s AND order_id = %(order_id)s

-- name: use_code
UPDATE unlock_code SET used_at = %(at)s, command_id = %(command_id)s, wrong_tries = 0
WHERE mission_id = %(mission_id)s AND order_id = %(order_id)s

-- name: insert_link
INSERT INTO recipient_link (token_hash, order_id, made_at, made_by, expires_at)
VALUES (%(token_hash)s, %(order_id)s, %(at)s, %(actor)s, %(expires_at)s)

-- name: withdraw_links
UPDATE recipient_link SET withdrawn_at = %(at)s WHERE order_id = %(order_id)s AND withdrawn_at IS NULL

-- name: link
SELECT * FROM recipient_link WHERE token_hash = %(token_hash)s

-- name: carried_now
-- The open mission that carries an order.
SELECT m.mission_id, m.vehicle_id, v.kind, m.state, m.step AS at_step, m.region_id, mo.step,
    m.trip -> 'mission' -> 'steps' -> mo.step AS release
FROM mission_order mo JOIN mission m USING (mission_id) JOIN vehicle v USING (vehicle_id)
WHERE mo.order_id = %(order_id)s AND mo.open AND m.ended_at IS NULL
