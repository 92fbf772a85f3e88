-- name: upsert
INSERT INTO app_user (user_id, display_name, role, created_at)
VALUES (%(user_id)s, %(display_name)s, %(role)s, %(at)s)
ON CONFLICT (user_id) DO UPDATE SET display_name = excluded.display_name, role = excluded.role, disabled = false

-- name: get
SELECT user_id, display_name, role, password_hash, disabled FROM app_user WHERE user_id = %(user_id)s

-- name: insert_link
INSERT INTO sign_in_link (token_hash, user_id, expires_wall)
VALUES (%(token_hash)s, %(user_id)s, clock_timestamp() + make_interval(secs => %(ttl_s)s))

-- name: use_link
UPDATE sign_in_link SET used_wall = clock_timestamp()
WHERE token_hash = %(token_hash)s AND used_wall IS NULL AND expires_wall > clock_timestamp()
RETURNING user_id

-- name: insert_session
INSERT INTO session (token_hash, user_id, csrf_token, created_wall, expires_wall)
VALUES (%(token_hash)s, %(user_id)s, %(csrf_token)s, clock_timestamp(),
    clock_timestamp() + make_interval(secs => %(ttl_s)s))

-- name: session_user
SELECT u.user_id, u.display_name, u.role, s.csrf_token
FROM session s JOIN app_user u USING (user_id)
WHERE s.token_hash = %(token_hash)s AND s.expires_wall > clock_timestamp() AND NOT u.disabled

-- name: pilots_signed_in
SELECT count(DISTINCT s.user_id) AS pilots FROM session s JOIN app_user u USING (user_id)
WHERE u.role = 'pilot' AND NOT u.disabled AND s.expires_wall > clock_timestamp()

-- name: delete_session
DELETE FROM session WHERE token_hash = %(token_hash)s

-- name: delete_expired
DELETE FROM session WHERE expires_wall <= clock_timestamp()

-- name: delete_expired_links
DELETE FROM sign_in_link WHERE expires_wall <= clock_timestamp()

-- name: set_password
UPDATE app_user SET password_hash = %(password_hash)s WHERE user_id = %(user_id)s RETURNING user_id

-- name: disable
UPDATE app_user SET disabled = true WHERE user_id = %(user_id)s RETURNING user_id

-- name: end_sessions
DELETE FROM session WHERE user_id = %(user_id)s

-- name: is_pilot
SELECT 1 FROM app_user WHERE user_id = %(user_id)s AND role = 'pilot' AND NOT disabled
