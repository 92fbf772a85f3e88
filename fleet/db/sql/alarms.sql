-- name: turn
SELECT alarm_turn()

-- name: known_change
SELECT alarm_id FROM alarm_event WHERE change_id = %(change_id)s

-- name: open_one
SELECT * FROM alarm
WHERE source_kind = %(source_kind)s AND source_id = %(source_id)s AND code = %(code)s AND key = %(key)s
    AND ended_at IS NULL

-- name: get
SELECT * FROM alarm WHERE alarm_id = %(alarm_id)s

-- name: of_ids
SELECT * FROM alarm WHERE alarm_id = ANY(%(alarm_ids)s)

-- name: open_of_source
SELECT * FROM alarm WHERE source_kind = %(source_kind)s AND source_id = %(source_id)s AND ended_at IS NULL

-- name: open_of_code
SELECT * FROM alarm WHERE code = %(code)s AND ended_at IS NULL

-- name: insert
INSERT INTO alarm (alarm_id, source_kind, source_id, code, key, urgency, state, standing, text_ja, text_en, given,
    since, shown_at, raised_at, returned_at, changed_at)
VALUES (%(alarm_id)s, %(source_kind)s, %(source_id)s, %(code)s, %(key)s, %(urgency)s, %(state)s, %(standing)s,
    %(text_ja)s, %(text_en)s, %(given)s, %(since)s, %(shown_at)s, %(raised_at)s,
    CASE WHEN %(standing)s THEN NULL ELSE %(at)s::timestamptz END, %(at)s)
RETURNING *

-- name: move
-- What sounds anew is answered anew. A change of the past that comes late does not make the row older.
UPDATE alarm SET state = %(state)s, standing = %(standing)s, urgency = %(urgency)s, text_ja = %(text_ja)s,
    text_en = %(text_en)s, given = %(given)s, since = %(since)s, changed_at = greatest(changed_at, %(at)s),
    times = times + %(sounds)s::int,
    returned_at = CASE WHEN %(event)s = 'clear' THEN %(at)s WHEN %(standing)s THEN NULL ELSE returned_at END,
    acknowledged_at = CASE WHEN %(event)s = 'acknowledge' THEN %(at)s WHEN %(state)s = 'unacknowledged' THEN NULL
        ELSE acknowledged_at END,
    acknowledged_by = CASE WHEN %(event)s = 'acknowledge' THEN %(actor)s WHEN %(state)s = 'unacknowledged' THEN NULL
        ELSE acknowledged_by END,
    shelved_at = CASE WHEN %(event)s = 'shelve' THEN %(at)s WHEN %(state)s = 'shelved' THEN shelved_at END,
    shelved_until = CASE WHEN %(event)s = 'shelve' THEN %(shelved_until)s::timestamptz
        WHEN %(state)s = 'shelved' THEN shelved_until END,
    shelved_by = CASE WHEN %(event)s = 'shelve' THEN %(actor)s WHEN %(state)s = 'shelved' THEN shelved_by END,
    shelf_reason = CASE WHEN %(event)s = 'shelve' THEN %(shelf_reason)s WHEN %(state)s = 'shelved' THEN shelf_reason END,
    ended_at = CASE WHEN %(state)s = 'normal' THEN %(at)s::timestamptz END
WHERE alarm_id = %(alarm_id)s
RETURNING *

-- name: journal
INSERT INTO alarm_event (alarm_id, at, event, state, standing, urgency, text_ja, text_en, since, shelved_until,
    detection_s, actor, cause, change_id)
VALUES (%(alarm_id)s, %(at)s, %(event)s, %(state)s, %(standing)s, %(urgency)s, %(text_ja)s, %(text_en)s, %(since)s,
    %(shelved_until)s, %(detection_s)s, %(actor)s, %(cause)s, %(change_id)s)

-- name: events
SELECT event_id, at, at_wall, event, state, standing, urgency, text_ja, text_en, since, detection_s, actor, cause
FROM alarm_event WHERE alarm_id = %(alarm_id)s ORDER BY event_id

-- name: since
SELECT e.event_id, e.alarm_id, a.source_kind, a.source_id, a.code, a.key, e.urgency, e.state, e.standing, e.text_ja,
    e.text_en, e.since, e.at, e.event, e.actor, e.cause, a.raised_at, a.changed_at, e.shelved_until
FROM alarm_event e JOIN alarm a USING (alarm_id)
WHERE e.event_id > %(cursor)s ORDER BY e.event_id LIMIT %(limit)s

-- name: cursor
SELECT coalesce(max(event_id), 0) AS cursor FROM alarm_event

-- name: due
SELECT * FROM alarm WHERE ended_at IS NULL AND state = 'shelved' AND shelved_until <= %(at)s

-- name: of_retired
SELECT a.* FROM alarm a JOIN vehicle v ON a.source_kind = 'vehicle' AND v.vehicle_id = a.source_id
WHERE a.ended_at IS NULL AND a.standing AND v.retired_at IS NOT NULL

-- name: idle_processes
-- 'gateway_silent' is what others say of a gateway, the others what is said of people, orders and receivers.
SELECT DISTINCT a.source_id FROM alarm a
WHERE a.source_kind = 'process' AND a.code NOT IN ('gateway_silent', 'pilot_silent', 'feed_silent', 'medical_late')
    AND a.ended_at IS NULL AND a.standing
    AND NOT EXISTS (SELECT 1 FROM lease l
        WHERE split_part(l.holder, '/', 1) = a.source_id AND l.expires_wall > clock_timestamp())

-- name: of_gone
SELECT * FROM alarm
WHERE source_kind = 'process' AND code NOT IN ('gateway_silent', 'pilot_silent', 'feed_silent', 'medical_late') AND ended_at IS NULL AND standing
    AND source_id = ANY(%(names)s)

-- name: silent_gateways
-- Gateways of which no lease is renewed any more, while nobody has taken their vehicles. What had run out before we
-- looked at all has some time to be taken up again: the whole service was off.
SELECT split_part(l.holder, '/', 1) AS gateway, extract(epoch FROM clock_timestamp() - max(l.expires_wall)) AS over_s
FROM lease l JOIN vehicle v USING (vehicle_id)
WHERE v.retired_at IS NULL
GROUP BY 1
HAVING max(l.expires_wall) < clock_timestamp() - make_interval(secs => %(over_s)s)
    AND (%(looking_s)s > %(patience_s)s
        OR max(l.expires_wall) > clock_timestamp() - make_interval(secs => %(looking_s)s))
ORDER BY 1

-- name: listing
SELECT * FROM alarm
WHERE (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(source_kind)s::text IS NULL OR source_kind = %(source_kind)s)
    AND (%(source_id)s::text IS NULL OR source_id = %(source_id)s)
    AND (%(urgency)s::text IS NULL OR urgency = %(urgency)s)
    AND (%(open_since)s::timestamptz IS NULL OR ended_at IS NULL OR ended_at >= %(open_since)s)
    AND (%(until)s::timestamptz IS NULL OR raised_at < %(until)s)
    AND (%(before)s::bigint IS NULL OR number < %(before)s)
ORDER BY number DESC LIMIT %(limit)s

-- name: sounded
-- What nobody had answered yet calls nobody again.
SELECT a.code, a.source_kind, e.urgency, e.detection_s,
    date_bin('10 minutes', e.at, %(start)s::timestamptz) AS bin
FROM alarm_event e JOIN alarm a USING (alarm_id)
WHERE e.at >= %(start)s AND e.at < %(end)s AND e.state = 'unacknowledged'
    AND 'unacknowledged' IS DISTINCT FROM (SELECT before.state FROM alarm_event before
        WHERE before.alarm_id = e.alarm_id AND before.event_id < e.event_id ORDER BY before.event_id DESC LIMIT 1)
ORDER BY e.event_id LIMIT %(limit)s
