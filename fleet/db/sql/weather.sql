-- name: insert
INSERT INTO weather_report (region_id, observed_at, wind_from_deg, wind_mps, gust_mps, temperature_c, rain_mm_h,
    visibility_m, reported_by)
VALUES (%(region_id)s, %(observed_at)s, %(wind_from_deg)s, %(wind_mps)s, %(gust_mps)s, %(temperature_c)s,
    %(rain_mm_h)s, %(visibility_m)s, %(actor)s)
RETURNING *

-- name: newest
SELECT * FROM weather_report WHERE region_id = %(region_id)s ORDER BY observed_at DESC, report_id DESC LIMIT 1
