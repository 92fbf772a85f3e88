-- The flight log of each vehicle (Civil Aeronautics Act of Japan, article 132-89; its Ordinance, article 236-84), and
-- the same for robots. What was written once stays readable: corrections are revisions, never changes.

-- What the log says of an aircraft and of a pilot beside the register; the newest counts.
CREATE TABLE aircraft_particulars (
    vehicle_id text NOT NULL REFERENCES vehicle,
    revision integer NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (vehicle_id, revision)
);

CREATE TABLE pilot_particulars (
    user_id text NOT NULL REFERENCES app_user,
    revision integer NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (user_id, revision)
);

-- One line of a log. Its times, revision and state are those of its newest revision, to find and order it by.
CREATE TABLE log_entry (
    entry_id text PRIMARY KEY,
    vehicle_id text NOT NULL REFERENCES vehicle,
    kind text NOT NULL CHECK (kind IN ('flight', 'operation', 'inspection', 'maintenance', 'defect')),
    began_at timestamptz NOT NULL,
    ended_at timestamptz CHECK (ended_at >= began_at),
    -- of an operation: the mission that a robot drove
    mission_id text REFERENCES mission,
    revision integer NOT NULL,
    signed_by text,
    void boolean NOT NULL DEFAULT false
);
CREATE INDEX log_entry_vehicle ON log_entry (vehicle_id, kind, began_at);
CREATE UNIQUE INDEX log_entry_operation ON log_entry (mission_id) WHERE kind = 'operation';

CREATE TABLE log_revision (
    entry_id text NOT NULL REFERENCES log_entry,
    revision integer NOT NULL,
    at timestamptz NOT NULL,
    -- 'service' for what was drafted from samples and missions
    actor text NOT NULL,
    reason text NOT NULL,
    content jsonb NOT NULL,
    signed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (entry_id, revision)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is written once: add a revision', TG_TABLE_NAME;
END $$;
CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON log_revision
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- How far a drone's samples have been looked at for flights, and what was under way there (fleet/flights.py).
CREATE TABLE flight_scan (
    vehicle_id text PRIMARY KEY REFERENCES vehicle,
    scanned_to timestamptz NOT NULL,
    airborne boolean NOT NULL DEFAULT false,
    state jsonb NOT NULL DEFAULT '{}'
);

-- Silences that the scan has passed: samples that come later lie in one, and send the scan back to its beginning.
CREATE TABLE flight_gap (
    vehicle_id text NOT NULL REFERENCES vehicle,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    state jsonb NOT NULL,
    noted_at timestamptz NOT NULL,
    -- some are looked at in each round, those that were not for longest
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (vehicle_id, began_at)
);
CREATE INDEX flight_gap_checked ON flight_gap (checked_at);

-- Up to when robots' missions have been written down.
CREATE TABLE operation_scan (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    scanned_to timestamptz NOT NULL
);
INSERT INTO operation_scan (scanned_to) VALUES ('2000-01-01T00:00:00Z');

CREATE INDEX mission_ended ON mission (ended_at) WHERE ended_at IS NOT NULL;
