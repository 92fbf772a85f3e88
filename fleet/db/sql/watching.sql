-- name: mission
-- What the monitors of a mission's vehicle need to know of it; a robot's track has no positions.
SELECT m.mission_id, m.region_id, m.trip, m.planned_depart, m.started_at, t.given,
    (SELECT coalesce(jsonb_object_agg(o.order_id, o.mass_kg), '{}')
        FROM mission_order mo JOIN delivery_order o USING (order_id) WHERE mo.mission_id = m.mission_id) AS masses_kg
FROM mission m LEFT JOIN mission_track t USING (mission_id)
WHERE m.mission_id = %(mission_id)s
