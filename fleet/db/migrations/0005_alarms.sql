-- Alarms by the states of ISA-18.2, one row for each from its raising until it is over and answered.
-- Times are domain time.

CREATE TABLE alarm (
    alarm_id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    source_kind text NOT NULL CHECK (source_kind IN ('vehicle', 'process')),
    source_id text NOT NULL,
    code text NOT NULL,
    -- tells conditions of one code apart: the other vehicle, the zone
    key text NOT NULL DEFAULT '',
    urgency text NOT NULL CHECK (urgency IN ('urgent', 'high', 'medium')),
    state text NOT NULL CHECK (state IN ('normal', 'unacknowledged', 'acknowledged', 'returned', 'shelved')),
    -- whether the condition holds
    standing boolean NOT NULL,
    text_ja text NOT NULL,
    text_en text NOT NULL,
    -- what the texts name, as the monitor gave it
    given jsonb NOT NULL DEFAULT '{}',
    -- when the condition began; the first look that showed it; when the alarm was raised
    since timestamptz NOT NULL,
    shown_at timestamptz NOT NULL,
    raised_at timestamptz NOT NULL,
    -- how often it has been raised, renewed or made worse
    times integer NOT NULL DEFAULT 1,
    returned_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    shelved_at timestamptz,
    shelved_until timestamptz,
    shelved_by text,
    shelf_reason text,
    ended_at timestamptz,
    changed_at timestamptz NOT NULL,
    CHECK ((state IN ('unacknowledged', 'acknowledged') AND standing) OR (state IN ('normal', 'returned')
        AND NOT standing) OR state = 'shelved'),
    CHECK ((state = 'shelved') = (shelved_until IS NOT NULL)),
    CHECK ((state = 'normal') = (ended_at IS NOT NULL))
);
-- A condition is one alarm for as long as that is open, whoever sees it.
CREATE UNIQUE INDEX alarm_open ON alarm (source_kind, source_id, code, key) WHERE ended_at IS NULL;
CREATE INDEX alarm_raised ON alarm (raised_at);
CREATE INDEX alarm_ended ON alarm (ended_at);
CREATE INDEX alarm_source ON alarm (source_id, raised_at);

-- Everything that has happened to alarms. Whoever has read up to one event reads on from there.
CREATE TABLE alarm_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alarm_id text NOT NULL REFERENCES alarm,
    at timestamptz NOT NULL,
    at_wall timestamptz NOT NULL DEFAULT clock_timestamp(),
    event text NOT NULL CHECK (event IN
        ('raise', 'renew', 'worsen', 'clear', 'acknowledge', 'shelve', 'unshelve')),
    state text NOT NULL,
    standing boolean NOT NULL,
    urgency text NOT NULL,
    text_ja text NOT NULL,
    text_en text NOT NULL,
    since timestamptz NOT NULL,
    shelved_until timestamptz,
    -- of what raises it: seconds from the first look that showed it
    detection_s double precision,
    actor text NOT NULL,
    cause text NOT NULL,
    -- of a change that a process may send twice
    change_id text UNIQUE
);
CREATE INDEX alarm_event_alarm ON alarm_event (alarm_id, event_id);
CREATE INDEX alarm_event_at ON alarm_event (at);

-- Writers of alarms take turns, to the end of their transaction: identity values are then seen in their order, so
-- that a reader's place in the journal leaves nothing out. One that stops in its turn is thrown out.
CREATE FUNCTION alarm_turn() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '5000', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('todoke alarm', 0));
END $$;
CREATE FUNCTION alarm_in_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM alarm_turn();
    RETURN NULL;
END $$;
-- Before the statement, and so before its identity values are drawn.
CREATE TRIGGER alarm_in_turn BEFORE INSERT ON alarm_event FOR EACH STATEMENT EXECUTE FUNCTION alarm_in_turn();

CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON alarm
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
