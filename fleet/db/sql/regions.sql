-- name: upsert
INSERT INTO region (region_id, name_ja, name_en, bundle_hash, bundle, imported_at)
VALUES (%(region_id)s, %(name_ja)s, %(name_en)s, %(bundle_hash)s, %(bundle)s, %(at)s)
ON CONFLICT (region_id) DO NOTHING
RETURNING region_id

-- name: get
SELECT * FROM region WHERE region_id = %(region_id)s

-- name: hash
SELECT bundle_hash FROM region WHERE region_id = %(region_id)s

-- name: list_all
SELECT region_id, name_ja, name_en, bundle_hash, imported_at FROM region ORDER BY imported_at, region_id

