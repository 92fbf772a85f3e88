-- name: insert
INSERT INTO audit (at, actor, action, subject_kind, subject_id, detail)
VALUES (%(at)s, %(actor)s, %(action)s, %(subject_kind)s, %(subject_id)s, %(detail)s)

-- name: list_all
SELECT audit_id, at, at_wall, actor, action, subject_kind, subject_id, detail FROM audit
WHERE (%(subject_id)s::text IS NULL OR subject_id = %(subject_id)s)
ORDER BY audit_id DESC LIMIT %(limit)s
