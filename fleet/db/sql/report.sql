-- name: orders
SELECT o.order_id, o.external_ref, o.state, o.reason, o.latest, c.at AS delivered_at, c.holder_id AS delivered_to,
    c.moved_by, c.evidence, v.kind AS mode
FROM delivery_order o
LEFT JOIN custody c ON c.order_id = o.order_id AND c.holder_kind = 'recipient'
LEFT JOIN vehicle v ON v.vehicle_id = c.moved_by
WHERE o.region_id = %(region_id)s
ORDER BY o.created_at, o.order_id

-- name: custody
SELECT c.order_id, c.at, c.holder_kind, c.holder_id, c.moved_by, c.mission_id, c.evidence, c.detail
FROM custody c JOIN delivery_order o USING (order_id)
WHERE o.region_id = %(region_id)s ORDER BY c.custody_id

-- name: missions
SELECT m.mission_id, m.vehicle_id, v.kind, m.state, m.reason, m.planned_depart, m.planned_arrive, m.started_at,
    m.ended_at, m.accepted_by
FROM mission m JOIN vehicle v USING (vehicle_id)
WHERE m.region_id = %(region_id)s ORDER BY m.planned_depart, m.mission_id

-- name: samples
SELECT s.vehicle_id, v.kind, count(*) AS stored, min(s.battery_pct_x10) / 10.0 AS battery_min_pct,
    min(s.t) AS first_at, max(s.t) AS last_at
FROM sample s JOIN vehicle v USING (vehicle_id)
WHERE v.region_id = %(region_id)s
GROUP BY s.vehicle_id, v.kind ORDER BY s.vehicle_id

-- name: tracks
-- One point a second: more would add nothing to a length, and a day of ten samples a second fills the memory.
SELECT DISTINCT ON (s.vehicle_id, date_trunc('second', s.t)) s.vehicle_id, v.kind, v.type_id,
    extract(epoch FROM s.t) AS t_s, s.lat_e7, s.lon_e7, s.alt_amsl_cm, s.battery_pct_x10
FROM mission m JOIN vehicle v USING (vehicle_id)
JOIN sample s ON s.vehicle_id = m.vehicle_id AND s.t >= m.started_at - interval '5 s'
    AND s.t <= coalesce(m.ended_at, %(now)s)
WHERE m.region_id = %(region_id)s AND m.started_at IS NOT NULL AND s.lat_e7 IS NOT NULL AND s.lon_e7 IS NOT NULL
ORDER BY s.vehicle_id, date_trunc('second', s.t), s.t

-- name: mission_times
SELECT m.mission_id, m.vehicle_id, extract(epoch FROM m.started_at) AS started_s,
    extract(epoch FROM m.ended_at) AS ended_s,
    coalesce((SELECT array_agg(DISTINCT extract(epoch FROM c.at)) FROM custody c
        WHERE c.mission_id = m.mission_id AND c.holder_kind = 'recipient'), '{}') AS released_s
FROM mission m
WHERE m.region_id = %(region_id)s AND m.started_at IS NOT NULL AND m.ended_at IS NOT NULL
ORDER BY m.started_at

-- name: commands
SELECT c.kind, c.state, count(*) AS number FROM command c JOIN vehicle v USING (vehicle_id)
WHERE v.region_id = %(region_id)s GROUP BY c.kind, c.state ORDER BY c.kind, c.state

-- name: server
SELECT current_setting('server_version') AS postgresql
