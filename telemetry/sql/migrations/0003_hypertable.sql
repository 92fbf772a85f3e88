-- Where TimescaleDB can be had, samples are a hypertable: a chunk a day, compressed when it is a day old.
-- Anywhere else they stay on native partitions, and every statement means the same on both. It is decided
-- here once: TimescaleDB that comes to the server later leaves the table as it is.
DO $$
DECLARE
    its_schema text;
    reason text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
        RETURN;
    END IF;
    -- Without its library preloaded, creating it ends the session, which no handler could catch. A setting
    -- of the library tells everybody; shared_preload_libraries itself is not for every role to read.
    IF NOT EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.disable_load' AND setting = 'off') THEN
        RAISE WARNING 'samples stay on native partitions: TimescaleDB is installed, but not loaded'
            USING HINT = 'add timescaledb to shared_preload_libraries and restart the server';
        RETURN;
    END IF;
    BEGIN
        CREATE EXTENSION IF NOT EXISTS timescaledb;
    EXCEPTION WHEN OTHERS THEN
        -- Trouble that passes (locks, resources, a server going down) must not decide for good.
        IF SQLSTATE ~ '^(40|53|55P|57)' THEN
            RAISE;
        END IF;
        GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT;
        RAISE WARNING 'samples stay on native partitions: %', reason
            USING HINT = 'have CREATE EXTENSION timescaledb run in this database by a role that may';
        RETURN;
    END;
    -- An administrator may have put its functions where the search path does not lead.
    SELECT quote_ident(nspname) INTO its_schema
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'timescaledb';
    PERFORM set_config('search_path', current_setting('search_path') || ', ' || its_schema, true);

    ALTER TABLE sample RENAME TO sample_native;
    ALTER INDEX sample_vehicle_t RENAME TO sample_native_vehicle_t;
    CREATE TABLE sample (LIKE sample_native INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
    CREATE INDEX sample_vehicle_t ON sample (vehicle_id, t DESC);
    PERFORM create_hypertable('sample', 't', chunk_time_interval => interval '1 day', create_default_indexes => false);
    INSERT INTO sample SELECT * FROM sample_native;
    DROP TABLE sample_native;

    BEGIN
        ALTER TABLE sample SET (
            timescaledb.compress,
            timescaledb.compress_segmentby = 'vehicle_id',
            timescaledb.compress_orderby = 't DESC, seq DESC'
        );
        -- By wall time: it only says when space is saved. Samples that come later are taken as ever.
        PERFORM add_compression_policy('sample', interval '1 day');
    EXCEPTION WHEN feature_not_supported THEN
        GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT;
        RAISE WARNING 'samples are a hypertable without compression: %', reason;
    END;
END
$$;
