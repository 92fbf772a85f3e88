-- Telemetry. Scaled integers as vehicles send them (telemetry/sample.py has the units); NULL is "not said".
-- Native range partitions, a day (UTC, domain time) each. No unique key on samples: a batch's identity
-- keeps a re-sent batch out, and a hypertable could take the same columns and the same index.

CREATE TABLE sample (
    t timestamptz NOT NULL,
    vehicle_ms bigint NOT NULL,
    seq bigint NOT NULL,
    lat_e7 integer,
    lon_e7 integer,
    alt_amsl_cm integer,
    alt_home_cm integer,
    vel_n_cms integer,
    vel_e_cms integer,
    vel_d_cms integer,
    heading_cdeg integer,
    battery_pct_x10 integer,
    voltage_mv integer,
    current_ca integer,
    roll_cdeg integer,
    pitch_cdeg integer,
    wind_n_cms integer,
    wind_e_cms integer,
    link_pct_x10 integer,
    step integer,
    armed boolean,
    on_ground boolean,
    vehicle_id text NOT NULL,
    mode text,
    mission_id text,
    extra jsonb
) PARTITION BY RANGE (t);
CREATE INDEX sample_vehicle_t ON sample (vehicle_id, t DESC);

-- Takes the samples of days that have no partition yet; they move when theirs is made.
CREATE TABLE sample_default PARTITION OF sample DEFAULT;

-- Makes a day's partition if it is not there. Samples that had gone to the default partition move into it.
CREATE FUNCTION sample_ensure_partition(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    child text := 'sample_' || to_char(day, 'YYYYMMDD');
    lower_bound timestamptz := day::timestamp AT TIME ZONE 'UTC';
    upper_bound timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Nothing may enter the default partition between the move and the attachment. This lock also lets one
    -- make a partition at a time, and taking it shows what another has made meanwhile: so look again.
    LOCK TABLE sample_default IN ACCESS EXCLUSIVE MODE;
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE sample INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child);
    EXECUTE format(
        'WITH moved AS (DELETE FROM sample_default WHERE t >= %L AND t < %L RETURNING *)
         INSERT INTO %I SELECT * FROM moved', lower_bound, upper_bound, child);
    EXECUTE format('ALTER TABLE sample ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        child, lower_bound, upper_bound);
    RETURN true;
END
$$;

-- A batch is written in one transaction with its identity: sent again, it is recognised and does nothing.
CREATE TABLE sample_batch (
    batch_id uuid PRIMARY KEY,
    writer text NOT NULL,
    samples integer NOT NULL,
    written_wall timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sample_batch_written ON sample_batch (written_wall);

-- The newest sample of each vehicle. A late sample never replaces a newer one.
CREATE TABLE latest_sample (
    LIKE sample,
    PRIMARY KEY (vehicle_id)
) WITH (fillfactor = 50);

-- What a vehicle said in words, and what happened to it. Severity after RFC 5424: 0 emergency .. 7 debug (MAVLink's
-- too). kind: 'status' (its own words), 'mode', 'armed', 'landed', 'connected', 'lost', 'restarted', 'clock' ...
CREATE TABLE vehicle_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id text NOT NULL,
    t timestamptz NOT NULL,
    severity smallint NOT NULL CHECK (severity BETWEEN 0 AND 7),
    kind text NOT NULL DEFAULT 'status',
    text text NOT NULL
);
CREATE INDEX vehicle_event_vehicle_t ON vehicle_event (vehicle_id, t DESC);

-- Time of which the store does not know what a vehicle said: nobody listened, or its samples found no room.
CREATE TABLE telemetry_gap (
    gap_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL CHECK (ended_at >= began_at),
    cause text NOT NULL CHECK (cause IN ('not_listening', 'dropped')),
    -- how many samples are known to be missing; NULL: nobody can say
    samples bigint,
    UNIQUE (vehicle_id, began_at, cause)
);
