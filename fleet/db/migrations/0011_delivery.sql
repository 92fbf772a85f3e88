-- Hand-overs: what drop points are like, who said that they are clear, how a delivery is known, codes, recipients'
-- links, and the ground crew's checks. Times are domain time.

-- Without a row a drop point is of the class 'recipient', and robots there ask for no code.
CREATE TABLE drop_point (
    region_id text NOT NULL REFERENCES region,
    site_id text NOT NULL,
    class text NOT NULL CHECK (class IN ('fenced', 'recipient', 'camera')),
    -- a robot lets nobody at the parcels without the one-time code
    unlock boolean NOT NULL,
    note text NOT NULL DEFAULT '',
    set_at timestamptz NOT NULL,
    set_by text NOT NULL,
    PRIMARY KEY (region_id, site_id)
);

-- What was said of the place below a drone that is at, or comes to, the release of a mission's step.
CREATE TABLE drop_confirmation (
    confirmation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mission_id text NOT NULL REFERENCES mission,
    step integer NOT NULL,
    clear boolean NOT NULL,
    -- recipient: over a recipient's link; pilot: by a command
    said_as text NOT NULL CHECK (said_as IN ('recipient', 'pilot')),
    said_by text NOT NULL,
    said_at timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX drop_confirmation_step ON drop_confirmation (mission_id, step, confirmation_id);

-- All that is known of a delivery, beside the hand-over itself (custody), which is written once.
CREATE TABLE delivery_evidence (
    evidence_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL REFERENCES delivery_order,
    mission_id text REFERENCES mission,
    step integer,
    at timestamptz NOT NULL,
    evidence text NOT NULL CHECK (evidence IN ('sensor', 'inferred', 'person')),
    given_by text NOT NULL,
    detail text NOT NULL,
    -- what is no evidence, and why (fleet/delivery_evidence.py)
    finding text
);
-- A vehicle tells of a release again after every restart of the service.
CREATE UNIQUE INDEX delivery_evidence_once ON delivery_evidence
    (order_id, evidence, given_by, coalesce(mission_id, ''), coalesce(finding, ''), detail);
CREATE INDEX delivery_evidence_mission ON delivery_evidence (mission_id, step);
CREATE INDEX delivery_evidence_giver ON delivery_evidence (given_by);
CREATE INDEX delivery_evidence_at ON delivery_evidence (at);

-- The code by which a recipient unlocks a robot; only its hash is kept, and only once it was drawn.
CREATE TABLE unlock_code (
    mission_id text NOT NULL REFERENCES mission,
    order_id text NOT NULL REFERENCES delivery_order,
    made_at timestamptz NOT NULL,
    code_hash text,
    drawn_at timestamptz,
    drawn_by text,
    wrong_tries integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    used_at timestamptz,
    command_id text REFERENCES command,
    PRIMARY KEY (mission_id, order_id)
);

-- Links by which recipients look at one order without an account.
CREATE TABLE recipient_link (
    token_hash bytea PRIMARY KEY,
    order_id text NOT NULL REFERENCES delivery_order,
    made_at timestamptz NOT NULL,
    made_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    withdrawn_at timestamptz
);
CREATE INDEX recipient_link_order ON recipient_link (order_id);

-- What the ground crew has checked before a mission; the newest of each name counts.
CREATE TABLE ground_check (
    check_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mission_id text NOT NULL REFERENCES mission,
    name text NOT NULL,
    ok boolean NOT NULL,
    note text,
    checked_at timestamptz NOT NULL,
    checked_by text NOT NULL,
    -- of a defect: the line of the flight log
    entry_id text REFERENCES log_entry
);
CREATE INDEX ground_check_newest ON ground_check (mission_id, name, check_id DESC);

CREATE TRIGGER notify_changed AFTER INSERT ON drop_confirmation
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
CREATE TRIGGER notify_changed AFTER INSERT ON ground_check
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
