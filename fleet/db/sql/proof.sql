-- name: releases
SELECT DISTINCT mission_id, holder_id FROM custody WHERE holder_kind = 'recipient' AND moved_by = %(vehicle_id)s

-- name: sample_times
SELECT vehicle_ms FROM sample WHERE vehicle_id = %(vehicle_id)s

-- name: delivered_twice
SELECT order_id FROM custody WHERE holder_kind = 'recipient' GROUP BY order_id HAVING count(*) > 1
