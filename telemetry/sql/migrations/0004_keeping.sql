-- A long life for samples: rollups of 1 s and 1 min, what is frozen, and how far retention has come.
-- telemetry/keeping.py does the keeping, in domain time: no job of the server knows what time it is.

-- A period of a vehicle that retention leaves alone. A released one protects nothing any more, and goes as soon as
-- what it alone had kept is gone.
CREATE TABLE frozen_span (
    freeze_id text NOT NULL,
    vehicle_id text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL CHECK (ended_at > began_at),
    released boolean NOT NULL DEFAULT false,
    PRIMARY KEY (freeze_id, vehicle_id)
);
CREATE INDEX frozen_span_vehicle ON frozen_span (vehicle_id, began_at);
CREATE FUNCTION is_frozen(vehicle text, low timestamptz, high timestamptz) RETURNS boolean STABLE LANGUAGE sql
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM frozen_span
        WHERE vehicle_id = vehicle AND NOT released AND began_at < high AND ended_at > low
    );
END;

-- How far retention has come. 'sample': samples before it are gone, or in sample_kept. 'rollup': rollups before it
-- are stored, and not to be computed from samples any more.
CREATE TABLE retention_mark (
    class text PRIMARY KEY CHECK (class IN ('sample', 'rollup')),
    before timestamptz NOT NULL
);
CREATE FUNCTION retention_mark_of(which text) RETURNS timestamptz STABLE LANGUAGE sql
BEGIN ATOMIC
    SELECT coalesce((SELECT before FROM retention_mark WHERE class = which), '-infinity');
END;

-- Frozen samples of days that are gone. A sample is here or in the table of samples, never in both.
CREATE TABLE sample_kept (LIKE sample INCLUDING DEFAULTS);
CREATE INDEX sample_kept_vehicle_t ON sample_kept (vehicle_id, t DESC);
CREATE VIEW sample_all AS SELECT * FROM sample UNION ALL SELECT * FROM sample_kept;

-- Small however many samples there are, and enough to find the days of a period. The other index finds vehicles.
CREATE INDEX sample_t ON sample USING brin (t) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX vehicle_event_t ON vehicle_event (t);
CREATE INDEX telemetry_gap_ended ON telemetry_gap (ended_at);

-- The rollups: the same columns and meaning whether TimescaleDB keeps them or they are computed when they are read.
-- For each of sample_1s and sample_1m there are
--   <name>                    the view that all may read; by vehicle and time, use the function: it is quick on both
--   <name>_of(vehicle, low, high)  its rows of one vehicle with low <= bucket < high
--   <name>_computed(low, high)     what samples alone give for the buckets low <= bucket < high
--   <name>_past               the rows that are stored: all of those before the mark
--   <name>_kept               stored rows: of days whose samples are gone, or frozen
--   <name>_live               TimescaleDB's continuous aggregate, where there is one
DO $migration$
DECLARE
    rollup record;
    its_schema text;
    continuous boolean;
    reason text;
    us text := $sql$(date_part('epoch', t - '2000-01-01 00:00:00+00'::timestamptz) * 1000000)::bigint$sql$;
    speed text := 'sqrt(vel_n_cms::float8 * vel_n_cms + vel_e_cms::float8 * vel_e_cms)';
    wind text := 'sqrt(wind_n_cms::float8 * wind_n_cms + wind_e_cms::float8 * wind_e_cms)';
    first_place text := format(
        'min(ARRAY[%s, seq, lat_e7, lon_e7, alt_amsl_cm]) FILTER (WHERE lat_e7 IS NOT NULL)', us);
    last_place text := format(
        'max(ARRAY[%s, seq, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, heading_cdeg,
            battery_pct_x10]) FILTER (WHERE lat_e7 IS NOT NULL)',
        us);
    columns text := format($sql$
        count(*) AS samples,
        min(t) AS first_t,
        max(t) AS last_t,
        max(t) FILTER (WHERE lat_e7 IS NOT NULL) AS last_place_t,
        (%1$s)[3]::integer AS first_lat_e7,
        (%1$s)[4]::integer AS first_lon_e7,
        (%1$s)[5]::integer AS first_alt_amsl_cm,
        (%2$s)[3]::integer AS last_lat_e7,
        (%2$s)[4]::integer AS last_lon_e7,
        (%2$s)[5]::integer AS last_alt_amsl_cm,
        (%2$s)[6]::integer AS last_alt_home_cm,
        (%2$s)[7]::integer AS last_heading_cdeg,
        (%2$s)[8]::integer AS last_place_battery_pct_x10,
        min(lat_e7) AS min_lat_e7,
        max(lat_e7) AS max_lat_e7,
        min(lon_e7) AS min_lon_e7,
        max(lon_e7) AS max_lon_e7,
        min(alt_amsl_cm) AS min_alt_amsl_cm,
        max(alt_amsl_cm) AS max_alt_amsl_cm,
        avg(alt_amsl_cm)::double precision AS avg_alt_amsl_cm,
        min(alt_home_cm) AS min_alt_home_cm,
        max(alt_home_cm) AS max_alt_home_cm,
        min(%4$s) AS min_speed_cms,
        max(%4$s) AS max_speed_cms,
        min(vel_d_cms) AS min_vel_d_cms,
        max(vel_d_cms) AS max_vel_d_cms,
        min(battery_pct_x10) AS min_battery_pct_x10,
        max(battery_pct_x10) AS max_battery_pct_x10,
        (max(ARRAY[%3$s, seq, battery_pct_x10]) FILTER (WHERE battery_pct_x10 IS NOT NULL))[3]::integer
            AS last_battery_pct_x10,
        min(voltage_mv) AS min_voltage_mv,
        max(voltage_mv) AS max_voltage_mv,
        min(current_ca) AS min_current_ca,
        max(current_ca) AS max_current_ca,
        min(link_pct_x10) AS min_link_pct_x10,
        max(link_pct_x10) AS max_link_pct_x10,
        min(%5$s) AS min_wind_cms,
        max(%5$s) AS max_wind_cms,
        bool_or(armed) AS any_armed,
        bool_and(on_ground) AS all_on_ground,
        (array_agg(mode ORDER BY t DESC, seq DESC) FILTER (WHERE mode IS NOT NULL))[1] AS last_mode,
        (array_agg(mission_id ORDER BY t DESC, seq DESC) FILTER (WHERE mission_id IS NOT NULL))[1] AS last_mission_id,
        (max(ARRAY[%3$s, seq, step]) FILTER (WHERE step IS NOT NULL))[3]::integer AS last_step
    $sql$, first_place, last_place, us, speed, wind);
BEGIN
    SELECT quote_ident(nspname) INTO its_schema
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'timescaledb';
    continuous := its_schema IS NOT NULL
        AND NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = 'sample'::regclass);
    IF continuous THEN
        PERFORM set_config('search_path', current_setting('search_path') || ', ' || its_schema, true);
    END IF;
    FOR rollup IN
        SELECT * FROM (VALUES ('sample_1s', '1 second', '1 day'), ('sample_1m', '1 minute', '30 days'))
            AS known (name, width, chunk)
    LOOP
        EXECUTE format($sql$
            CREATE TABLE %1$I AS
            SELECT vehicle_id, date_bin(%2$L, t, '2000-01-01 00:00:00+00') AS bucket, %3$s
            FROM sample GROUP BY 1, 2 WITH NO DATA
            $sql$, rollup.name || '_kept', rollup.width, columns);
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (vehicle_id, bucket)', rollup.name || '_kept');
        EXECUTE format('CREATE INDEX ON %I USING brin (bucket)', rollup.name || '_kept');
        EXECUTE format($sql$
            CREATE FUNCTION %1$I(low timestamptz, high timestamptz) RETURNS SETOF %2$I STABLE LANGUAGE sql
            BEGIN ATOMIC
                SELECT vehicle_id, date_bin(%3$L, t, '2000-01-01 00:00:00+00') AS bucket, %4$s
                FROM sample
                WHERE t >= date_bin(%3$L, low + (interval %3$L - interval '1 us'), '2000-01-01 00:00:00+00')
                    AND t < date_bin(%3$L, high + (interval %3$L - interval '1 us'), '2000-01-01 00:00:00+00')
                    AND t >= (SELECT retention_mark_of('rollup'))
                GROUP BY 1, 2;
            END
            $sql$, rollup.name || '_computed', rollup.name || '_kept', rollup.width, columns);
        IF continuous THEN
            BEGIN
                EXECUTE format($sql$
                    CREATE MATERIALIZED VIEW %1$I
                    WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
                    SELECT vehicle_id, time_bucket(interval %2$L, t) AS bucket, %3$s
                    FROM sample GROUP BY 1, 2 WITH NO DATA
                    $sql$, rollup.name || '_live', rollup.width, columns);
            EXCEPTION WHEN feature_not_supported THEN
                GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT;
                RAISE WARNING 'rollups are computed when they are read: %', reason;
                continuous := false;
            END;
        END IF;
        IF continuous THEN
            PERFORM set_chunk_time_interval(
                    format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass,
                    rollup.chunk::interval)
                FROM timescaledb_information.continuous_aggregates
                WHERE view_schema = current_schema AND view_name = rollup.name || '_live';
            EXECUTE format($sql$
                ALTER MATERIALIZED VIEW %I SET (
                    timescaledb.compress,
                    timescaledb.compress_segmentby = 'vehicle_id',
                    timescaledb.compress_orderby = 'bucket DESC'
                )
                $sql$, rollup.name || '_live');
            EXECUTE format($sql$
                CREATE VIEW %1$I AS SELECT * FROM %2$I UNION ALL SELECT * FROM %3$I
                $sql$, rollup.name, rollup.name || '_live', rollup.name || '_kept');
            EXECUTE format('CREATE VIEW %I AS SELECT * FROM %I', rollup.name || '_past', rollup.name);
            EXECUTE format($sql$
                CREATE FUNCTION %1$I(vehicle text, low timestamptz, high timestamptz)
                RETURNS SETOF %2$I STABLE LANGUAGE sql
                BEGIN ATOMIC
                    SELECT * FROM %3$I WHERE vehicle_id = vehicle AND bucket >= low AND bucket < high;
                END
                $sql$, rollup.name || '_of', rollup.name || '_kept', rollup.name);
        ELSE
            EXECUTE format($sql$
                CREATE VIEW %1$I AS
                SELECT * FROM %2$I('-infinity', 'infinity') UNION ALL SELECT * FROM %3$I
                $sql$, rollup.name, rollup.name || '_computed', rollup.name || '_kept');
            EXECUTE format('CREATE VIEW %I AS SELECT * FROM %I', rollup.name || '_past', rollup.name || '_kept');
            EXECUTE format($sql$
                CREATE FUNCTION %1$I(vehicle text, low timestamptz, high timestamptz)
                RETURNS SETOF %2$I STABLE LANGUAGE sql
                BEGIN ATOMIC
                    SELECT * FROM %3$I(low, high) WHERE vehicle_id = vehicle
                    UNION ALL
                    SELECT * FROM %2$I WHERE vehicle_id = vehicle AND bucket >= low AND bucket < high;
                END
                $sql$, rollup.name || '_of', rollup.name || '_kept', rollup.name || '_computed');
        END IF;
    END LOOP;
END
$migration$;

-- What things mean, for those who look with other tools.
COMMENT ON TABLE sample IS
    'Telemetry, one row a sample; NULL is "not said". By day: a partition, or a chunk of a hypertable. Read sample_all.';
COMMENT ON VIEW sample_all IS 'All samples that there are: those of sample, and frozen ones of days that are gone.';
COMMENT ON TABLE sample_kept IS 'Frozen samples of days that retention has dropped; columns as in sample.';
COMMENT ON TABLE latest_sample IS 'The newest sample of each vehicle; columns as in sample. Never dropped.';
COMMENT ON TABLE sample_batch IS 'Batches that were stored, by which one that is sent again is recognised.';
COMMENT ON TABLE vehicle_event IS 'What a vehicle said in words and what happened to it, in domain time.';
COMMENT ON TABLE telemetry_gap IS 'Time of which it is not known what a vehicle said.';
COMMENT ON TABLE frozen_span IS 'Periods of vehicles that retention leaves alone (incidents).';
COMMENT ON TABLE retention_mark IS 'How far retention has come, by class.';
COMMENT ON COLUMN vehicle_event.severity IS 'RFC 5424: 0 emergency .. 7 debug';
COMMENT ON COLUMN telemetry_gap.samples IS 'how many samples are missing; NULL: not known';
COMMENT ON COLUMN sample_batch.written_wall IS 'wall time';
DO $comments$
DECLARE
    entry record;
    relation text;
BEGIN
    FOR entry IN
        SELECT * FROM (VALUES
            ('t', 'domain time of reception'),
            ('vehicle_ms', 'the vehicle''s own clock: ms since its start (MAVLink), ms since the Unix epoch (VDA 5050)'),
            ('seq', 'counts the samples of one link session'),
            ('lat_e7', 'latitude, WGS 84, 1e-7 degrees'),
            ('lon_e7', 'longitude, WGS 84, 1e-7 degrees'),
            ('alt_amsl_cm', 'altitude over mean sea level as the receiver''s geoid has it (EGM96 for PX4), cm'),
            ('alt_home_cm', 'height over the place of take-off, cm'),
            ('vel_n_cms', 'velocity north, cm/s'),
            ('vel_e_cms', 'velocity east, cm/s'),
            ('vel_d_cms', 'velocity down, cm/s'),
            ('heading_cdeg', 'heading, clockwise from true north, 0.01 degrees'),
            ('battery_pct_x10', 'charge, 0.1 percent'),
            ('voltage_mv', 'battery voltage, mV'),
            ('current_ca', 'battery current, 10 mA'),
            ('roll_cdeg', 'roll after MAVLink ATTITUDE, 0.01 degrees'),
            ('pitch_cdeg', 'pitch after MAVLink ATTITUDE, 0.01 degrees'),
            ('wind_n_cms', 'wind as the vehicle estimates it: where the air moves to, north, cm/s'),
            ('wind_e_cms', 'wind as the vehicle estimates it: where the air moves to, east, cm/s'),
            ('link_pct_x10', 'share of the vehicle''s messages that arrived lately, 0.1 percent'),
            ('step', 'how far it is in its mission'),
            ('armed', 'whether its motors may turn'),
            ('on_ground', 'whether it stands'),
            ('vehicle_id', 'the registered vehicle'),
            ('mode', 'flight mode, or operating mode of a robot'),
            ('mission_id', 'the mission that it is on'),
            ('extra', 'fields that only some types have')
        ) AS known (name, meaning)
    LOOP
        EXECUTE format('COMMENT ON COLUMN sample.%I IS %L', entry.name, entry.meaning);
    END LOOP;
    FOR entry IN
        SELECT * FROM (VALUES ('sample_1s', '1 s'), ('sample_1m', '1 min')) AS known (name, width)
    LOOP
        FOREACH relation IN ARRAY ARRAY[entry.name, entry.name || '_past'] LOOP
            EXECUTE format('COMMENT ON VIEW %I IS %L', relation, format(
                'Rollups of %s by vehicle; bucket is the start of it. min_, max_, avg_, first_ and last_ of what was '
                'said in it; units are those of sample. speed_cms is over the ground, wind_cms the estimated wind; '
                'first_ and last_ lat, lon, alt, heading and last_place_ are of the first and last sample with a position.%s',
                entry.width, CASE WHEN relation LIKE '%\_past' THEN ' Only what is stored, not computed.' ELSE '' END));
        END LOOP;
        EXECUTE format('COMMENT ON TABLE %I IS %L', entry.name || '_kept',
            format('Stored rows of %s: of days whose samples are gone, or frozen.', entry.name));
    END LOOP;
END
$comments$;
