-- name: open
INSERT INTO contingency (contingency_id, region_id, rule, vehicle_id, mission_id, order_id, key, urgency, state, seen,
    seen_ja, seen_en, noticed_at, acts_at, outcome, changed_at, ended_at)
VALUES (%(contingency_id)s, %(region_id)s, %(rule)s, %(vehicle_id)s, %(mission_id)s, %(order_id)s, %(key)s,
    %(urgency)s, %(state)s, %(seen)s, %(seen_ja)s, %(seen_en)s, %(at)s, %(acts_at)s, %(outcome)s, %(at)s, NULL)
ON CONFLICT (rule, coalesce(vehicle_id, order_id), key) WHERE ended_at IS NULL DO NOTHING
RETURNING *

-- name: standing_one
SELECT * FROM contingency WHERE rule = %(rule)s AND coalesce(vehicle_id, order_id) = %(subject)s AND key = %(key)s
    AND ended_at IS NULL

-- name: standing
SELECT * FROM contingency WHERE vehicle_id = %(vehicle_id)s AND ended_at IS NULL ORDER BY number

-- name: standing_of_rule
SELECT * FROM contingency WHERE region_id = %(region_id)s AND rule = %(rule)s AND ended_at IS NULL ORDER BY number

-- name: acted
UPDATE contingency SET state = %(state)s, response = %(response)s, response_ja = %(response_ja)s, response_en = %(response_en)s,
    command_id = %(command_id)s, attempts = attempts + 1, acted_at = %(at)s, outcome = %(outcome)s, changed_at = %(at)s
WHERE contingency_id = %(contingency_id)s AND ended_at IS NULL
RETURNING *

-- name: settle
UPDATE contingency SET state = %(state)s, outcome = %(outcome)s, changed_at = %(at)s
WHERE contingency_id = %(contingency_id)s AND ended_at IS NULL
RETURNING *

-- name: end
UPDATE contingency SET ended_at = %(at)s, changed_at = %(at)s
WHERE contingency_id = %(contingency_id)s AND ended_at IS NULL

-- name: end_strays
-- Occurrences of vehicles whose mission is over, and of orders that nothing can be done for any more.
UPDATE contingency c SET ended_at = %(at)s, changed_at = %(at)s
WHERE c.ended_at IS NULL AND (
    EXISTS (SELECT 1 FROM mission m WHERE m.mission_id = c.mission_id AND m.ended_at IS NOT NULL)
    OR EXISTS (SELECT 1 FROM delivery_order o WHERE o.order_id = c.order_id
        AND o.state IN ('delivered', 'failed', 'cancelled')))

-- name: commands
SELECT command_id, state, outcome FROM command WHERE command_id = ANY (%(command_ids)s)

-- name: word_of_person
-- The newest command that a person has given for a mission.
SELECT kind, issuer, issued_at FROM command
WHERE mission_id = %(mission_id)s AND issuer NOT LIKE 'rule: %%' AND state <> 'proposed'
    AND NOT (state = 'expired' AND sent_at IS NULL AND kind <> 'hold')
ORDER BY issued_at DESC LIMIT 1

-- name: listing
SELECT * FROM contingency
WHERE region_id = %(region_id)s AND (%(vehicle_id)s::text IS NULL OR vehicle_id = %(vehicle_id)s)
    AND (NOT %(standing)s OR ended_at IS NULL)
ORDER BY number DESC LIMIT %(limit)s

-- name: of_order
-- What has kept an order from being delivered on a mission.
SELECT c.seen_en, c.outcome FROM contingency c
WHERE c.mission_id = %(mission_id)s AND c.rule = ANY (%(rules)s)
    AND (c.key = '' OR c.key = (SELECT mo.step::text FROM mission_order mo
        WHERE mo.mission_id = %(mission_id)s AND mo.order_id = %(order_id)s))
ORDER BY c.number LIMIT 1

-- name: tell_orders
INSERT INTO order_event (order_id, at, from_state, to_state, cause)
SELECT o.order_id, %(at)s, o.state, o.state, %(cause)s
FROM mission_order mo JOIN delivery_order o USING (order_id)
WHERE mo.mission_id = %(mission_id)s AND mo.open AND (%(step)s::integer IS NULL OR mo.step = %(step)s)

-- name: flights
-- The drones under way in a region, and the newest diversion that one was sent on.
SELECT m.mission_id, m.vehicle_id, v.type_id, m.state, m.planned_depart, coalesce(m.started_at, m.changed_at) AS began_at,
    (SELECT c.sent_to FROM command c WHERE c.mission_id = m.mission_id AND c.sent_to IS NOT NULL
        AND c.state IN ('sent', 'done') AND NOT EXISTS (SELECT 1 FROM command n WHERE n.mission_id = m.mission_id
            AND n.state IN ('sent', 'done') AND n.sent_at > c.sent_at AND n.kind NOT IN ('clear', 'speed', 'release', 'skip'))
        ORDER BY c.sent_at DESC LIMIT 1) AS divert_to
FROM mission m JOIN vehicle v USING (vehicle_id)
WHERE m.region_id = %(region_id)s AND v.kind = 'drone' AND m.state IN ('starting', 'underway', 'held', 'returning')
ORDER BY m.mission_id

-- name: plan_of_flight
SELECT m.mission_id, m.trip, t.given FROM mission m JOIN mission_track t USING (mission_id)
WHERE m.mission_id = ANY (%(mission_ids)s)

-- name: late_orders
-- Orders that a rule may be about, with when they are due where, and on what they are.
SELECT o.order_id, o.external_ref, o.goods, o.priority, o.state, o.latest, mo.mission_id, m.vehicle_id,
    m.state AS mission_state,
    (SELECT (stop ->> 'arrive')::timestamptz FROM jsonb_array_elements(m.trip -> 'stops') AS stop
        WHERE stop -> 'order_ids' ? o.order_id LIMIT 1) AS eta
FROM delivery_order o
LEFT JOIN mission_order mo ON mo.order_id = o.order_id AND mo.open
LEFT JOIN mission m ON m.mission_id = mo.mission_id
WHERE o.region_id = %(region_id)s AND o.state IN ('received', 'planned', 'loaded', 'underway')
    AND o.latest > %(at)s - interval '1 hour'
ORDER BY o.order_id
