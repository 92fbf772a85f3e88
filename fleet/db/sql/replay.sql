-- The fleet as it was: what was true at a moment, and what happened in a span after it (its end included).

-- name: kinds
SELECT vehicle_id, kind FROM vehicle

-- name: missions_at
-- The newest change by then of a mission that each vehicle was carrying out; a day is longer than any of them.
SELECT DISTINCT ON (m.vehicle_id) m.vehicle_id, m.mission_id, e.at, e.to_state AS state,
    jsonb_array_length(m.trip -> 'mission' -> 'steps') AS steps
FROM mission_event e JOIN mission m USING (mission_id)
WHERE e.at <= %(at)s AND e.at > %(at)s::timestamptz - interval '1 day'
    AND (e.to_state = ANY(%(active)s) OR e.from_state = ANY(%(active)s))
ORDER BY m.vehicle_id, e.at DESC, e.event_id DESC

-- name: missions_between
SELECT m.vehicle_id, m.mission_id, e.at, e.to_state AS state,
    jsonb_array_length(m.trip -> 'mission' -> 'steps') AS steps
FROM mission_event e JOIN mission m USING (mission_id)
WHERE e.at > %(start)s AND e.at <= %(end)s
    AND (e.to_state = ANY(%(active)s) OR e.from_state = ANY(%(active)s))
ORDER BY e.at, e.event_id LIMIT %(limit)s

-- name: alarms_at
SELECT e.event_id, e.alarm_id, a.source_kind, a.source_id, a.code, a.key, e.urgency, e.state, e.standing, e.text_ja,
    e.text_en, e.since, e.at, e.event, e.actor, e.cause, a.raised_at, e.shelved_until
FROM alarm a CROSS JOIN LATERAL (
    SELECT * FROM alarm_event WHERE alarm_id = a.alarm_id AND at <= %(at)s ORDER BY event_id DESC LIMIT 1
) AS e
WHERE a.raised_at <= %(at)s AND (a.ended_at IS NULL OR a.ended_at > %(at)s)
ORDER BY e.event_id LIMIT %(limit)s

-- name: alarms_between
SELECT e.event_id, e.alarm_id, a.source_kind, a.source_id, a.code, a.key, e.urgency, e.state, e.standing, e.text_ja,
    e.text_en, e.since, e.at, e.event, e.actor, e.cause, a.raised_at, e.shelved_until
FROM alarm_event e JOIN alarm a USING (alarm_id)
WHERE e.at > %(start)s AND e.at <= %(end)s
ORDER BY e.at, e.event_id LIMIT %(limit)s
