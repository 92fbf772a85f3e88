-- The service's truth. PostgreSQL 15 to 18, no extensions. Times are domain time, given by the caller,
-- except columns named *_wall, which are wall time.

CREATE TABLE service_clock (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    anchor_wall timestamptz NOT NULL,
    anchor_domain timestamptz NOT NULL,
    speed double precision NOT NULL CHECK (speed > 0)
);

CREATE TABLE region (
    region_id text PRIMARY KEY,
    name_ja text NOT NULL,
    name_en text NOT NULL,
    bundle_hash text NOT NULL,
    bundle bytea NOT NULL, -- packed, see routing.region.bundle
    imported_at timestamptz NOT NULL
);

CREATE TABLE app_user (
    user_id text PRIMARY KEY CHECK (user_id ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    display_name text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'ground_crew', 'dispatcher', 'pilot', 'administrator')),
    password_hash text,
    disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL
);

CREATE TABLE sign_in_link (
    token_hash bytea PRIMARY KEY,
    user_id text NOT NULL REFERENCES app_user,
    expires_wall timestamptz NOT NULL,
    used_wall timestamptz
);

CREATE TABLE session (
    token_hash bytea PRIMARY KEY,
    user_id text NOT NULL REFERENCES app_user,
    csrf_token text NOT NULL,
    created_wall timestamptz NOT NULL,
    expires_wall timestamptz NOT NULL
);

CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    at_wall timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    subject_kind text NOT NULL,
    subject_id text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_subject ON audit (subject_kind, subject_id, audit_id);
CREATE INDEX audit_at ON audit (at);

CREATE TABLE vehicle (
    vehicle_id text PRIMARY KEY CHECK (vehicle_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
    region_id text NOT NULL REFERENCES region,
    type_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('drone', 'robot')),
    home_site text NOT NULL,
    -- which pad of the home site a drone stands on
    pad integer NOT NULL DEFAULT 0 CHECK (pad >= 0),
    -- {"protocol": "mavlink", "bind": "127.0.0.1:14600"} or {"protocol": "vda5050", "manufacturer", "serial"}
    link jsonb NOT NULL,
    hardware_uid text,
    simulated boolean NOT NULL,
    registered_at timestamptz NOT NULL,
    retired_at timestamptz
);
CREATE UNIQUE INDEX vehicle_link ON vehicle (link) WHERE retired_at IS NULL;
CREATE UNIQUE INDEX vehicle_pad ON vehicle (region_id, home_site, pad) WHERE kind = 'drone' AND retired_at IS NULL;

-- Who may speak to a vehicle. The epoch only grows; deadlines are wall time.
CREATE TABLE lease (
    vehicle_id text PRIMARY KEY REFERENCES vehicle,
    holder text NOT NULL,
    epoch bigint NOT NULL,
    expires_wall timestamptz NOT NULL,
    -- domain time until which a holder is known to have listened to the vehicle
    listened_until timestamptz,
    -- Makes the epoch part of a key: what is written under a fence waits for a takeover, which changes it, and not for
    -- a renewal, which does not (lock modes FOR KEY SHARE and FOR NO KEY UPDATE).
    UNIQUE (vehicle_id, epoch)
);

CREATE TABLE delivery_order (
    order_id text PRIMARY KEY,
    region_id text NOT NULL REFERENCES region,
    external_ref text NOT NULL,
    state text NOT NULL CHECK (state IN
        ('received', 'planned', 'loaded', 'underway', 'unconfirmed', 'delivered', 'failed', 'cancelled')),
    pickup_site text NOT NULL,
    dropoff_site text NOT NULL,
    recipient text NOT NULL,
    goods text NOT NULL DEFAULT '',
    mass_kg double precision NOT NULL CHECK (mass_kg > 0),
    volume_l double precision NOT NULL CHECK (volume_l > 0),
    earliest timestamptz NOT NULL,
    latest timestamptz NOT NULL CHECK (latest > earliest),
    priority integer NOT NULL DEFAULT 0,
    -- why it waits or has failed: in words, and as a value of routing.cause.Cause
    reason text,
    reason_cause text,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    UNIQUE (region_id, external_ref)
);
CREATE INDEX delivery_order_open ON delivery_order (region_id, state)
    WHERE state NOT IN ('delivered', 'failed', 'cancelled');
CREATE INDEX delivery_order_over ON delivery_order (changed_at) WHERE state IN ('delivered', 'failed', 'cancelled');

CREATE TABLE order_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL REFERENCES delivery_order,
    at timestamptz NOT NULL,
    from_state text,
    to_state text NOT NULL,
    cause text NOT NULL
);
CREATE INDEX order_event_order ON order_event (order_id, event_id);

-- What people or a station say of the weather (domain time); planning takes the newest.
CREATE TABLE weather_report (
    report_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id text NOT NULL REFERENCES region,
    observed_at timestamptz NOT NULL,
    wind_from_deg double precision NOT NULL CHECK (wind_from_deg BETWEEN 0 AND 360),
    wind_mps double precision NOT NULL CHECK (wind_mps >= 0),
    gust_mps double precision NOT NULL CHECK (gust_mps >= wind_mps),
    temperature_c double precision,
    reported_by text NOT NULL
);
CREATE INDEX weather_report_newest ON weather_report (region_id, observed_at DESC);

CREATE TABLE planning_run (
    run_id text PRIMARY KEY,
    region_id text NOT NULL REFERENCES region,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'proposed', 'approved', 'rejected', 'failed')),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    claimed_by text,
    claim_expires_wall timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    seconds double precision NOT NULL,
    seed bigint NOT NULL,
    problem jsonb,
    problem_hash text,
    weather jsonb,
    plan jsonb,
    violations jsonb,
    error text,
    finished_at timestamptz,
    decided_by text,
    decided_at timestamptz
);
CREATE INDEX planning_run_queue ON planning_run (requested_at) WHERE state IN ('queued', 'running');

CREATE TABLE mission (
    mission_id text PRIMARY KEY,
    region_id text NOT NULL REFERENCES region,
    run_id text NOT NULL REFERENCES planning_run,
    vehicle_id text NOT NULL REFERENCES vehicle,
    ordinal integer NOT NULL,
    state text NOT NULL CHECK (state IN
        ('planned', 'loaded', 'accepted', 'starting', 'underway', 'held', 'returning',
         'completed', 'aborted', 'failed', 'cancelled')),
    trip jsonb NOT NULL,
    planned_depart timestamptz NOT NULL,
    planned_arrive timestamptz NOT NULL,
    accepted_by text,
    started_at timestamptz,
    ended_at timestamptz,
    step integer NOT NULL DEFAULT 0,
    reason text,
    changed_at timestamptz NOT NULL,
    UNIQUE (run_id, vehicle_id, ordinal)
);
CREATE INDEX mission_vehicle ON mission (vehicle_id, planned_depart);
CREATE INDEX mission_open ON mission (region_id, state) WHERE ended_at IS NULL;
-- A vehicle flies or drives one mission at a time.
CREATE UNIQUE INDEX mission_active ON mission (vehicle_id)
    WHERE state IN ('starting', 'underway', 'held', 'returning');

-- Where a mission will be when, as planned: read at its launch and by later plans, not with every look at it.
CREATE TABLE mission_track (
    mission_id text PRIMARY KEY REFERENCES mission,
    given jsonb NOT NULL
);

CREATE TABLE mission_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mission_id text NOT NULL REFERENCES mission,
    at timestamptz NOT NULL,
    from_state text,
    to_state text NOT NULL,
    cause text NOT NULL
);
CREATE INDEX mission_event_mission ON mission_event (mission_id, event_id);
CREATE INDEX mission_event_at ON mission_event (at);

-- Which orders a mission carries. An order rides on one open mission at a time.
CREATE TABLE mission_order (
    mission_id text NOT NULL REFERENCES mission,
    order_id text NOT NULL REFERENCES delivery_order,
    step integer NOT NULL,
    open boolean NOT NULL DEFAULT true,
    PRIMARY KEY (mission_id, order_id)
);
CREATE UNIQUE INDEX mission_order_open ON mission_order (order_id) WHERE open;

-- Where a parcel is: a chain of hand-overs. 'holder' is shelf:SITE, vehicle:ID or recipient:SITE.
CREATE TABLE custody (
    custody_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL REFERENCES delivery_order,
    at timestamptz NOT NULL,
    holder_kind text NOT NULL CHECK (holder_kind IN ('shelf', 'vehicle', 'recipient')),
    holder_id text NOT NULL,
    moved_by text NOT NULL,
    mission_id text REFERENCES mission,
    lat double precision,
    lon double precision,
    alt_amsl_m double precision,
    -- sensor: the vehicle acknowledged the release; inferred: its progress implies it; person: somebody said so
    evidence text NOT NULL CHECK (evidence IN ('sensor', 'inferred', 'person')),
    detail text NOT NULL
);
CREATE INDEX custody_order ON custody (order_id, custody_id);
CREATE INDEX custody_at ON custody (at);
-- Never delivered twice.
CREATE UNIQUE INDEX custody_delivered_once ON custody (order_id) WHERE holder_kind = 'recipient';

CREATE TABLE command (
    command_id text PRIMARY KEY,
    idempotency_key text NOT NULL,
    vehicle_id text NOT NULL REFERENCES vehicle,
    mission_id text REFERENCES mission,
    kind text NOT NULL CHECK (kind IN ('emergency_stop', 'hold', 'cross', 'clear', 'resume', 'return', 'land', 'divert',
        'speed', 'altitude', 'release', 'skip', 'unlock', 'abort')),
    params jsonb NOT NULL DEFAULT '{}',
    issuer text NOT NULL,
    issued_at timestamptz NOT NULL,
    -- a two-step command is 'proposed' until confirmed; only 'pending' ones are ever sent
    state text NOT NULL CHECK (state IN ('proposed', 'pending', 'sent', 'done', 'failed', 'expired')),
    expires_at timestamptz NOT NULL,
    sent_at timestamptz,
    finished_at timestamptz,
    lease_epoch bigint,
    -- whose command it is: of the controller that the vehicle had then; NULL for a rule's and for what stops
    control_epoch bigint,
    -- the site that a drone was sent to by it: the one named, or the nearest
    sent_to text,
    -- what its issuer was told that it would do
    preview_ja text,
    preview_en text,
    outcome text,
    UNIQUE (issuer, idempotency_key)
);
CREATE INDEX command_pending ON command (vehicle_id, issued_at) WHERE state IN ('pending', 'sent');
CREATE INDEX command_vehicle ON command (vehicle_id, issued_at DESC);
CREATE INDEX command_mission ON command (mission_id, issued_at DESC);
CREATE INDEX command_issued ON command (issued_at);

-- Listeners learn which table changed; what changed they read from the table. For each row, since a statement
-- that changes none must not wake anybody; PostgreSQL sends equal notifications of a transaction once.
CREATE FUNCTION notify_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('todoke_changed', TG_TABLE_NAME);
    RETURN NULL;
END $$;
-- What is one vehicle's is told with its id: of many hundred vehicles only one has to look.
CREATE FUNCTION notify_vehicle_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('todoke_changed', TG_TABLE_NAME || ' ' || NEW.vehicle_id);
    RETURN NULL;
END $$;
CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON delivery_order
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON mission
    FOR EACH ROW EXECUTE FUNCTION notify_vehicle_changed();
CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON planning_run
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON command
    FOR EACH ROW EXECUTE FUNCTION notify_vehicle_changed();
CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON vehicle
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
