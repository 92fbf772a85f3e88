-- Incidents, and what their report is drafted from. Periods hold their start and not their end.

-- name: insert
INSERT INTO incident (incident_id, region_id, scope_kind, scope_id, began_at, opened_by, opened_at, idempotency_key)
VALUES (%(incident_id)s, %(region_id)s, %(scope_kind)s, %(scope_id)s, %(began_at)s, %(actor)s, %(at)s, %(key)s)
ON CONFLICT (opened_by, idempotency_key) DO NOTHING
RETURNING incident_id

-- name: by_key
SELECT incident_id FROM incident WHERE opened_by = %(actor)s AND idempotency_key = %(key)s

-- name: get
SELECT i.*, r.content, r.at AS revised_at, r.actor AS revised_by,
    ARRAY(SELECT vehicle_id FROM incident_vehicle v WHERE v.incident_id = i.incident_id ORDER BY 1) AS vehicle_ids
FROM incident i JOIN incident_revision r USING (incident_id, revision)
WHERE i.incident_id = %(incident_id)s

-- name: lock
SELECT incident_id FROM incident WHERE incident_id = %(incident_id)s FOR UPDATE

-- name: list_all
SELECT i.*, r.content,
    ARRAY(SELECT vehicle_id FROM incident_vehicle v WHERE v.incident_id = i.incident_id ORDER BY 1) AS vehicle_ids
FROM incident i JOIN incident_revision r USING (incident_id, revision)
WHERE i.region_id = %(region_id)s
ORDER BY i.opened_at DESC, i.incident_id LIMIT %(limit)s

-- name: insert_revision
INSERT INTO incident_revision (incident_id, revision, at, actor, content)
VALUES (%(incident_id)s, %(revision)s, %(at)s, %(actor)s, %(content)s)

-- name: set_revision
UPDATE incident SET revision = %(revision)s WHERE incident_id = %(incident_id)s

-- name: revisions
SELECT revision, at, actor, content FROM incident_revision WHERE incident_id = %(incident_id)s ORDER BY revision

-- name: close
UPDATE incident SET ended_at = %(ended_at)s, closed_at = %(at)s, closed_by = %(actor)s
WHERE incident_id = %(incident_id)s

-- name: unfreeze
UPDATE incident SET unfrozen_at = %(at)s, unfrozen_by = %(actor)s, unfrozen_reason = %(reason)s
WHERE incident_id = %(incident_id)s

-- name: add_vehicles
-- Retired ones too: what they did before is what matters.
INSERT INTO incident_vehicle (incident_id, vehicle_id)
SELECT i.incident_id, v.vehicle_id FROM incident i JOIN vehicle v ON v.region_id = i.region_id
    AND CASE i.scope_kind WHEN 'vehicle' THEN v.vehicle_id = i.scope_id WHEN 'type' THEN v.type_id = i.scope_id
        ELSE true END
WHERE i.ended_at IS NULL AND (%(incident_id)s::text IS NULL OR i.incident_id = %(incident_id)s)
    AND NOT EXISTS (SELECT FROM incident_vehicle k WHERE k.incident_id = i.incident_id AND k.vehicle_id = v.vehicle_id)
ON CONFLICT DO NOTHING
RETURNING incident_id

-- name: missions
SELECT m.mission_id, m.vehicle_id, m.run_id, m.state, m.planned_depart, m.planned_arrive, m.accepted_by, m.started_at,
    m.ended_at, m.reason, m.trip
FROM mission m
WHERE m.vehicle_id = ANY(%(vehicle_ids)s) AND coalesce(m.started_at, m.planned_depart) < %(high)s
    AND coalesce(m.ended_at, m.changed_at, m.planned_arrive) >= %(low)s
    AND m.planned_depart >= %(since)s AND m.planned_depart < %(until)s
ORDER BY m.planned_depart, m.mission_id LIMIT %(limit)s

-- name: commands
SELECT * FROM command
WHERE vehicle_id = ANY(%(vehicle_ids)s) AND issued_at >= %(low)s AND issued_at < %(high)s
ORDER BY issued_at, command_id LIMIT %(limit)s

-- name: mission_events
SELECT e.*, m.vehicle_id FROM mission_event e JOIN mission m USING (mission_id)
WHERE m.vehicle_id = ANY(%(vehicle_ids)s) AND e.at >= %(low)s AND e.at < %(high)s
ORDER BY e.at, e.event_id LIMIT %(limit)s

-- name: custody
SELECT c.*, m.vehicle_id FROM custody c JOIN mission m USING (mission_id)
WHERE m.vehicle_id = ANY(%(vehicle_ids)s) AND c.at >= %(low)s AND c.at < %(high)s
ORDER BY c.at, c.custody_id LIMIT %(limit)s

-- name: alarm_events
SELECT e.*, a.code, a.source_id AS vehicle_id FROM alarm_event e JOIN alarm a USING (alarm_id)
WHERE a.source_kind = 'vehicle' AND a.source_id = ANY(%(vehicle_ids)s) AND e.at >= %(low)s AND e.at < %(high)s
ORDER BY e.at, e.event_id LIMIT %(limit)s

-- name: vehicle_events
SELECT vehicle_id, t AS at, severity, kind, text FROM vehicle_event
WHERE vehicle_id = ANY(%(vehicle_ids)s) AND t >= %(low)s AND t < %(high)s
ORDER BY t, event_id LIMIT %(limit)s

-- name: gaps
SELECT vehicle_id, began_at, ended_at, cause, samples FROM telemetry_gap
WHERE vehicle_id = ANY(%(vehicle_ids)s) AND began_at >= %(low)s AND began_at < %(high)s
ORDER BY began_at LIMIT %(limit)s

-- name: weather
SELECT * FROM weather_report WHERE region_id = %(region_id)s AND observed_at >= %(low)s AND observed_at < %(high)s
ORDER BY observed_at LIMIT %(limit)s

-- name: audit
SELECT a.* FROM audit a
WHERE a.at >= %(low)s AND a.at < %(high)s AND (
    (a.subject_kind = 'vehicle' AND a.subject_id = ANY(%(vehicle_ids)s))
    OR (a.subject_kind = 'mission' AND EXISTS (SELECT FROM mission m
        WHERE m.mission_id = a.subject_id AND m.vehicle_id = ANY(%(vehicle_ids)s)))
    OR (a.subject_kind = 'incident' AND a.subject_id = %(incident_id)s))
ORDER BY a.at, a.audit_id LIMIT %(limit)s

-- name: log_entries
SELECT e.entry_id, e.vehicle_id, e.kind, e.began_at, e.ended_at, r.revision, r.at, r.actor, r.reason, r.signed, r.content
FROM log_entry e JOIN log_revision r USING (entry_id)
WHERE e.vehicle_id = ANY(%(vehicle_ids)s) AND e.began_at >= %(low)s AND e.began_at < %(high)s
ORDER BY e.began_at, e.entry_id, r.revision LIMIT %(limit)s

-- name: people
-- Whoever did anything in the period, or accepted a launch of one of the missions.
SELECT u.user_id, u.display_name, u.role FROM app_user u WHERE u.user_id IN (
    SELECT actor FROM audit WHERE at >= %(low)s AND at < %(high)s
    UNION SELECT issuer FROM command WHERE issued_at >= %(low)s AND issued_at < %(high)s
    UNION SELECT unnest(%(accepted_by)s::text[]))
ORDER BY u.role, u.user_id

-- name: figures
SELECT count(*) AS samples, min(t) AS first_t, max(t) AS last_t,
    max(sqrt(vel_n_cms::float8 ^ 2 + vel_e_cms::float8 ^ 2)) / 100 AS speed_max_mps,
    max(greatest(-vel_d_cms, 0)) / 100.0 AS climb_max_mps, max(greatest(vel_d_cms, 0)) / 100.0 AS sink_max_mps,
    max(alt_home_cm) / 100.0 AS height_max_m, max(alt_amsl_cm) / 100.0 AS alt_amsl_max_m,
    max(battery_pct_x10) / 10.0 AS battery_max_pct, min(battery_pct_x10) / 10.0 AS battery_min_pct,
    min(voltage_mv) / 1000.0 AS voltage_min_v, min(link_pct_x10) / 10.0 AS link_min_pct,
    max(sqrt(wind_n_cms::float8 ^ 2 + wind_e_cms::float8 ^ 2)) / 100 AS wind_max_mps,
    max(greatest(abs(roll_cdeg), abs(pitch_cdeg))) / 100.0 AS tilt_max_deg
FROM sample_all WHERE vehicle_id = %(vehicle_id)s AND t >= %(low)s AND t < %(high)s

-- name: longest_silence
SELECT max(silence) AS silence FROM (
    SELECT t - lag(t) OVER (ORDER BY t) AS silence FROM sample_all
    WHERE vehicle_id = %(vehicle_id)s AND t >= %(low)s AND t < %(high)s) AS silences

-- name: points
SELECT DISTINCT ON (floor(extract(epoch FROM t) / %(step_s)s)) t, lat_e7, lon_e7, alt_home_cm, alt_amsl_cm,
    battery_pct_x10, sqrt(vel_n_cms::float8 ^ 2 + vel_e_cms::float8 ^ 2) / 100 AS speed_mps
FROM sample_all
WHERE vehicle_id = %(vehicle_id)s AND t >= %(low)s AND t < %(high)s AND lat_e7 IS NOT NULL AND lon_e7 IS NOT NULL
ORDER BY floor(extract(epoch FROM t) / %(step_s)s), t

-- name: drones
SELECT vehicle_id FROM vehicle WHERE region_id = %(region_id)s AND kind = 'drone' ORDER BY vehicle_id

-- name: in_the_air
-- One point a second of each drone while it was in the air.
SELECT wanted.vehicle_id, point.*
FROM unnest(%(vehicle_ids)s::text[]) AS wanted (vehicle_id)
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (date_trunc('second', t)) extract(epoch FROM t)::float8 AS t_s, lat_e7, lon_e7, alt_amsl_cm
    FROM sample_all
    WHERE vehicle_id = wanted.vehicle_id AND t >= %(low)s AND t < %(high)s
        AND lat_e7 IS NOT NULL AND lon_e7 IS NOT NULL AND alt_amsl_cm IS NOT NULL
        AND coalesce(NOT on_ground, armed, false)
    ORDER BY date_trunc('second', t), t
) AS point
ORDER BY wanted.vehicle_id, point.t_s
