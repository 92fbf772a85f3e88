-- The flight log: entries with their revisions, particulars, and what it is drafted from.

-- name: lock_log
-- One writer a vehicle: nobody enters a flight while another looks whether it is there.
SELECT pg_advisory_xact_lock(hashtextextended('log:' || %(vehicle_id)s, 0))

-- name: insert_entry
INSERT INTO log_entry (entry_id, vehicle_id, kind, began_at, ended_at, mission_id, revision, signed_by)
VALUES (%(entry_id)s, %(vehicle_id)s, %(kind)s, %(began_at)s, %(ended_at)s, %(mission_id)s, 0, NULL)
ON CONFLICT (mission_id) WHERE kind = 'operation' DO NOTHING
RETURNING entry_id

-- name: insert_revision
INSERT INTO log_revision (entry_id, revision, at, actor, reason, content, signed)
VALUES (%(entry_id)s, %(revision)s, %(at)s, %(actor)s, %(reason)s, %(content)s, %(signed)s)

-- name: set_entry
UPDATE log_entry SET began_at = %(began_at)s, ended_at = %(ended_at)s, revision = %(revision)s,
    signed_by = %(signed_by)s, void = %(void)s
WHERE entry_id = %(entry_id)s

-- name: lock_entry
SELECT e.*, r.content, r.actor, r.at FROM log_entry e JOIN log_revision r USING (entry_id, revision)
WHERE e.entry_id = %(entry_id)s FOR UPDATE OF e

-- name: get_entry
SELECT e.*, r.content, r.actor, r.at FROM log_entry e JOIN log_revision r USING (entry_id, revision)
WHERE e.entry_id = %(entry_id)s

-- name: revisions
SELECT revision, at, actor, reason, content, signed FROM log_revision WHERE entry_id = %(entry_id)s ORDER BY revision

-- name: entries
-- Oldest first; with all flight time up to the end of each line, whatever the period shown.
SELECT * FROM (
    SELECT e.*, r.content, r.actor, r.at,
        sum(CASE WHEN e.kind IN ('flight', 'operation') AND NOT e.void
                THEN extract(epoch FROM e.ended_at - e.began_at) ELSE 0 END)
            OVER (ORDER BY e.began_at, e.entry_id) AS total_s
    FROM log_entry e JOIN log_revision r USING (entry_id, revision)
    WHERE e.vehicle_id = %(vehicle_id)s
) AS line
WHERE kind = ANY(%(kinds)s) AND began_at < %(end)s AND coalesce(ended_at, began_at) >= %(start)s
ORDER BY began_at, entry_id
LIMIT %(limit)s

-- name: open_defects
SELECT e.entry_id, e.began_at, r.content FROM log_entry e JOIN log_revision r USING (entry_id, revision)
WHERE e.vehicle_id = %(vehicle_id)s AND e.kind = 'defect' AND NOT e.void AND r.content ->> 'action_at' IS NULL
ORDER BY e.began_at

-- name: overlapping
-- With those that a person has declared void.
SELECT * FROM (
    SELECT e.*, r.content, NOT EXISTS (SELECT FROM log_revision p
        WHERE p.entry_id = e.entry_id AND p.actor <> 'service') AS untouched
    FROM log_entry e JOIN log_revision r USING (entry_id, revision)
    WHERE e.vehicle_id = %(vehicle_id)s AND e.kind = 'flight'
        AND e.began_at < %(ended_at)s AND e.ended_at > %(began_at)s
) AS line
WHERE NOT (void AND untouched)
ORDER BY began_at

-- name: aircraft
SELECT revision, at, actor, content FROM aircraft_particulars
WHERE vehicle_id = %(subject_id)s ORDER BY revision DESC LIMIT 1

-- name: pilot
SELECT revision, at, actor, content FROM pilot_particulars
WHERE user_id = %(subject_id)s ORDER BY revision DESC LIMIT 1

-- name: pilots
SELECT u.user_id, u.display_name, p.content
FROM app_user u
LEFT JOIN LATERAL (SELECT content FROM pilot_particulars WHERE user_id = u.user_id
    ORDER BY revision DESC LIMIT 1) AS p ON true
WHERE u.user_id = ANY(%(user_ids)s)

-- name: put_aircraft
INSERT INTO aircraft_particulars (vehicle_id, revision, at, actor, content)
SELECT %(subject_id)s, coalesce(max(revision), 0) + 1, %(at)s, %(actor)s, %(content)s
FROM aircraft_particulars WHERE vehicle_id = %(subject_id)s

-- name: put_pilot
INSERT INTO pilot_particulars (user_id, revision, at, actor, content)
SELECT %(subject_id)s, coalesce(max(revision), 0) + 1, %(at)s, %(actor)s, %(content)s
FROM pilot_particulars WHERE user_id = %(subject_id)s

-- name: user_exists
SELECT 1 AS known FROM app_user WHERE user_id = %(subject_id)s FOR SHARE

-- name: begin_scans
INSERT INTO flight_scan (vehicle_id, scanned_to)
SELECT v.vehicle_id, '2000-01-01T00:00:00Z' FROM vehicle v
WHERE v.kind = 'drone' AND NOT EXISTS (SELECT FROM flight_scan f WHERE f.vehicle_id = v.vehicle_id)
ON CONFLICT (vehicle_id) DO NOTHING

-- name: claim_scans
-- Drones of which something was heard since, and those in the air that have not been heard for long. What another
-- process looks at is left to it.
SELECT f.vehicle_id, f.scanned_to, f.state, v.region_id
FROM flight_scan f JOIN latest_sample l USING (vehicle_id) JOIN vehicle v USING (vehicle_id)
WHERE f.scanned_to < least(l.t, %(horizon)s) OR (f.airborne AND f.scanned_to < %(lost)s)
ORDER BY f.scanned_to
LIMIT %(limit)s
FOR UPDATE OF f SKIP LOCKED

-- name: stretches
-- How far each is looked at this time, so that a day of samples does not hold the database up.
SELECT d.vehicle_id, d.since, least(%(horizon)s, (SELECT min(s.t) FROM sample s
        WHERE s.vehicle_id = d.vehicle_id AND s.t > d.since AND s.t <= %(horizon)s) + %(stretch)s) AS until
FROM unnest(%(vehicle_ids)s::text[], %(since)s::timestamptz[]) AS d (vehicle_id, since)

-- name: turns
-- The first and last sample of each stretch, those that say another thing than the one before, and those after a
-- silence. A drone that does not say whether it stands is in the air while it is armed.
SELECT d.vehicle_id, turn.*
FROM unnest(%(vehicle_ids)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[])
    AS d (vehicle_id, since, until)
CROSS JOIN LATERAL (
    SELECT t, airborne, before_t, lat_e7, lon_e7 FROM (
        SELECT t, seq, airborne, lat_e7, lon_e7, lag(airborne) OVER line AS before, lag(t) OVER line AS before_t,
            lead(t) OVER line AS after_t
        FROM (
            SELECT t, seq, coalesce(NOT on_ground, armed) AS airborne, lat_e7, lon_e7 FROM sample
            WHERE vehicle_id = d.vehicle_id AND t > d.since AND t <= d.until
                AND coalesce(on_ground, armed) IS NOT NULL
        ) AS said
        WINDOW line AS (ORDER BY t, seq)
    ) AS line
    WHERE before IS NULL OR airborne <> before OR after_t IS NULL OR t - before_t > %(gap)s
) AS turn
ORDER BY d.vehicle_id, turn.t

-- name: set_scan
UPDATE flight_scan SET scanned_to = %(scanned_to)s, airborne = %(airborne)s, state = %(state)s
WHERE vehicle_id = %(vehicle_id)s

-- name: note_gap
INSERT INTO flight_gap (vehicle_id, began_at, ended_at, state, noted_at, checked_at)
VALUES (%(vehicle_id)s, %(began_at)s, %(ended_at)s, %(state)s, %(at)s, %(at)s)
ON CONFLICT (vehicle_id, began_at) DO NOTHING

-- name: forget_gaps
DELETE FROM flight_gap WHERE noted_at < %(before)s

-- name: filled_gaps
-- Of the silences that were not looked at for longest, the oldest of each drone from which samples have come after all.
WITH looked AS (
    UPDATE flight_gap g SET checked_at = %(at)s
    FROM (SELECT vehicle_id, began_at FROM flight_gap ORDER BY checked_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS due
    WHERE g.vehicle_id = due.vehicle_id AND g.began_at = due.began_at
    RETURNING g.vehicle_id, g.began_at, g.ended_at, g.state
)
SELECT DISTINCT ON (g.vehicle_id) g.vehicle_id, g.began_at, g.state FROM looked g
WHERE EXISTS (SELECT FROM sample s WHERE s.vehicle_id = g.vehicle_id AND s.t > g.began_at AND s.t < g.ended_at
    AND coalesce(s.on_ground, s.armed) IS NOT NULL)
ORDER BY g.vehicle_id, g.began_at

-- name: lock_scan
SELECT vehicle_id FROM flight_scan WHERE vehicle_id = %(vehicle_id)s FOR UPDATE

-- name: drop_gaps
-- None when another process has gone back to it or further since.
DELETE FROM flight_gap g WHERE g.vehicle_id = %(vehicle_id)s AND g.began_at >= %(began_at)s
    AND EXISTS (SELECT FROM flight_gap k WHERE k.vehicle_id = g.vehicle_id AND k.began_at = %(began_at)s)

-- name: position_near
SELECT lat_e7, lon_e7 FROM sample_all
WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t <= %(end)s AND lat_e7 IS NOT NULL AND lon_e7 IS NOT NULL
ORDER BY abs(extract(epoch FROM t - %(t)s)) LIMIT 1

-- name: missions_between
-- Who flies a mission is who accepted its launch, and whoever took control of it on the way.
SELECT m.mission_id, m.state, m.reason, m.trip, m.accepted_by, m.started_at, m.ended_at,
    (SELECT coalesce(array_agg(a.detail ->> 'to' ORDER BY a.audit_id), '{}') FROM audit a
        WHERE a.subject_kind = 'vehicle' AND a.subject_id = m.vehicle_id AND a.action IN ('control.take', 'control.accept')
            AND a.at >= m.started_at AND a.at <= coalesce(m.ended_at, 'infinity')) AS took_over
FROM mission m
WHERE m.vehicle_id = %(vehicle_id)s AND m.started_at <= %(ended_at)s
    AND coalesce(m.ended_at, 'infinity') >= %(began_at)s
ORDER BY m.started_at

-- name: said_between
SELECT t, severity, text FROM vehicle_event
WHERE vehicle_id = %(vehicle_id)s AND t >= %(began_at)s AND t <= %(ended_at)s AND severity <= 3
ORDER BY t LIMIT %(limit)s

-- name: turned_between
SELECT e.at, e.to_state, e.cause FROM mission_event e JOIN mission m USING (mission_id)
WHERE m.vehicle_id = %(vehicle_id)s AND e.at >= %(began_at)s AND e.at <= %(ended_at)s
    AND e.to_state IN ('held', 'returning', 'aborted', 'failed') AND e.from_state IS DISTINCT FROM e.to_state
ORDER BY e.at, e.event_id LIMIT %(limit)s

-- name: asked_between
SELECT issued_at, kind, issuer, state FROM command
WHERE vehicle_id = %(vehicle_id)s AND issued_at >= %(began_at)s AND issued_at <= %(ended_at)s AND state IN ('done', 'failed')
ORDER BY issued_at LIMIT %(limit)s

-- name: alarms_between
SELECT raised_at AS at, text_ja, text_en FROM alarm
WHERE source_kind = 'vehicle' AND source_id = %(vehicle_id)s AND raised_at >= %(began_at)s AND raised_at <= %(ended_at)s
ORDER BY raised_at, number LIMIT %(limit)s

-- name: operations_to
SELECT scanned_to FROM operation_scan FOR UPDATE SKIP LOCKED

-- name: begin_operations
INSERT INTO operation_scan (scanned_to) VALUES ('2000-01-01T00:00:00Z') ON CONFLICT DO NOTHING

-- name: ended_operations
SELECT m.mission_id, m.vehicle_id, m.region_id, m.state, m.reason, m.trip, m.accepted_by, m.started_at, m.ended_at,
    (SELECT coalesce(array_agg(a.detail ->> 'to' ORDER BY a.audit_id), '{}') FROM audit a
        WHERE a.subject_kind = 'vehicle' AND a.subject_id = m.vehicle_id AND a.action IN ('control.take', 'control.accept')
            AND a.at >= m.started_at AND a.at <= coalesce(m.ended_at, 'infinity')) AS took_over
FROM mission m JOIN vehicle v USING (vehicle_id)
WHERE v.kind = 'robot' AND m.started_at IS NOT NULL AND m.ended_at >= %(since)s AND m.ended_at >= m.started_at
    AND NOT EXISTS (SELECT FROM log_entry e WHERE e.mission_id = m.mission_id AND e.kind = 'operation')
ORDER BY m.ended_at, m.mission_id LIMIT %(limit)s

-- name: set_operations_to
UPDATE operation_scan SET scanned_to = greatest(scanned_to, %(scanned_to)s)

-- name: has_sample
SELECT min(t) AS t FROM sample_all WHERE vehicle_id = %(vehicle_id)s AND t >= %(start)s AND t < %(end)s
