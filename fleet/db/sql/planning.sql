-- name: insert
INSERT INTO planning_run (run_id, region_id, state, requested_by, requested_at, seconds, seed)
VALUES (%(run_id)s, %(region_id)s, 'queued', %(requested_by)s, %(at)s, %(seconds)s, %(seed)s)
RETURNING *

-- name: get
SELECT * FROM planning_run WHERE run_id = %(run_id)s

-- name: lock
SELECT * FROM planning_run WHERE run_id = %(run_id)s FOR UPDATE

-- name: open_run
SELECT run_id FROM planning_run WHERE region_id = %(region_id)s AND state IN ('queued', 'running', 'proposed') LIMIT 1

-- name: list_all
-- Without plans, which are long, but for the one that waits for a decision.
SELECT run_id, region_id, state, requested_by, requested_at, seconds, seed, problem_hash, weather, error,
    CASE WHEN state = 'proposed' THEN plan END AS plan, CASE WHEN state = 'proposed' THEN violations END AS violations,
    finished_at, decided_by, decided_at
FROM planning_run WHERE region_id = %(region_id)s ORDER BY requested_at DESC LIMIT %(limit)s

-- name: claim
-- A claim lasts for as long as the solve may take, and a while longer.
UPDATE planning_run SET state = 'running', claimed_by = %(holder)s, attempts = attempts + 1,
    claim_expires_wall = clock_timestamp() + make_interval(secs => seconds + %(ttl_s)s)
WHERE run_id = (SELECT run_id FROM planning_run
    WHERE state = 'queued' OR (state = 'running' AND (claim_expires_wall < clock_timestamp()
        OR split_part(claimed_by, '/', 1) = split_part(%(holder)s, '/', 1)))
    ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *

-- name: set_problem
UPDATE planning_run SET problem = %(problem)s, problem_hash = %(problem_hash)s, weather = %(weather)s WHERE run_id = %(run_id)s

-- name: finish
UPDATE planning_run SET state = %(state)s, plan = %(plan)s, violations = %(violations)s, error = %(error)s,
    finished_at = %(at)s
WHERE run_id = %(run_id)s AND state = 'running' AND claimed_by = %(holder)s
RETURNING run_id

-- name: proposed
SELECT * FROM planning_run WHERE state = 'proposed' FOR UPDATE SKIP LOCKED

-- name: withdraw
UPDATE planning_run SET state = 'failed', error = %(error)s WHERE run_id = %(run_id)s

-- name: order_windows
SELECT order_id, external_ref, state, latest FROM delivery_order WHERE order_id = ANY(%(order_ids)s)

-- name: decide
UPDATE planning_run SET state = %(state)s, decided_by = %(actor)s, decided_at = %(at)s WHERE run_id = %(run_id)s
