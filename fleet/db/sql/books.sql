-- name: states
-- Whoever is over counts for a day: each part is found by an index, however long the books are.
SELECT 'orders' AS what, state, count(*) AS n FROM delivery_order
WHERE state NOT IN ('delivered', 'failed', 'cancelled') GROUP BY state
UNION ALL SELECT 'orders', state, count(*) FROM delivery_order
WHERE state IN ('delivered', 'failed', 'cancelled') AND changed_at > %(since)s GROUP BY state
UNION ALL SELECT 'missions', state, count(*) FROM mission WHERE ended_at IS NULL GROUP BY state
UNION ALL SELECT 'missions', state, count(*) FROM mission WHERE ended_at > %(since)s GROUP BY state
UNION ALL SELECT 'alarms', urgency, count(*) FROM alarm WHERE ended_at IS NULL GROUP BY urgency

-- name: totals
SELECT (SELECT count(*) FROM planning_run WHERE state = 'queued') AS queued,
    (SELECT count(*) FROM vehicle WHERE retired_at IS NULL) AS vehicles,
    (SELECT count(*) FROM lease JOIN vehicle USING (vehicle_id)
        WHERE retired_at IS NULL AND expires_wall > clock_timestamp()) AS leased

-- name: wall_clock
SELECT extract(epoch FROM clock_timestamp())::float8 AS wall_s
