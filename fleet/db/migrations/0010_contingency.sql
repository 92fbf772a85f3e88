-- What rules have done when something went wrong, and what they go by. Times are domain time.

-- One row for each occurrence: from when it was noticed until its condition is over.
CREATE TABLE contingency (
    contingency_id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    region_id text NOT NULL REFERENCES region,
    rule text NOT NULL,
    -- about a vehicle on its mission, or an order that is on none
    vehicle_id text REFERENCES vehicle,
    mission_id text REFERENCES mission,
    order_id text REFERENCES delivery_order,
    -- tells occurrences of one rule apart: the aircraft, the area, the step
    key text NOT NULL DEFAULT '',
    urgency text NOT NULL CHECK (urgency IN ('urgent', 'high', 'medium')),
    -- asking: a pilot may do otherwise until acts_at; acting: its command is under way; left: to the person who has
    -- decided otherwise; noted: nothing is to be done by itself
    state text NOT NULL CHECK (state IN ('asking', 'acting', 'done', 'failed', 'left', 'noted')),
    seen jsonb NOT NULL DEFAULT '{}',
    seen_ja text NOT NULL,
    seen_en text NOT NULL,
    noticed_at timestamptz NOT NULL,
    acts_at timestamptz,
    -- what was done last: a response of the rule, the command that it gave, and how often it has tried
    response text,
    response_ja text,
    response_en text,
    command_id text REFERENCES command,
    attempts integer NOT NULL DEFAULT 0,
    acted_at timestamptz,
    outcome text,
    changed_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK (vehicle_id IS NOT NULL OR order_id IS NOT NULL)
);
CREATE UNIQUE INDEX contingency_open ON contingency (rule, coalesce(vehicle_id, order_id), key) WHERE ended_at IS NULL;
CREATE INDEX contingency_newest ON contingency (region_id, number);
CREATE INDEX contingency_mission ON contingency (mission_id);

-- Aircraft with people aboard, as a receiver (ADS-B) or a person reports them; each for as long as it is not repeated.
CREATE TABLE manned_aircraft (
    region_id text NOT NULL REFERENCES region,
    ident text NOT NULL,
    name text NOT NULL,
    source text NOT NULL CHECK (source IN ('adsb', 'person')),
    lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    -- NULL: nobody knows, and it may be at any
    alt_amsl_m double precision,
    -- what the altitude may be off by: more for a barometric one
    alt_error_m double precision NOT NULL DEFAULT 0 CHECK (alt_error_m >= 0),
    -- it is somewhere within
    radius_m double precision NOT NULL DEFAULT 0 CHECK (radius_m >= 0),
    track_deg double precision CHECK (track_deg BETWEEN 0 AND 360),
    speed_mps double precision CHECK (speed_mps >= 0),
    climb_mps double precision,
    observed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > observed_at),
    reported_by text NOT NULL,
    PRIMARY KEY (region_id, ident)
);

-- Beside emergency airspace, areas that are closed at short notice: an event, a rescue, a landing site in use.
ALTER TABLE emergency_airspace ADD COLUMN kind text NOT NULL DEFAULT 'emergency'
    CHECK (kind IN ('emergency', 'closed'));

CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON contingency
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE OR DELETE ON manned_aircraft
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
