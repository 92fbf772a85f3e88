-- Incidents: what is frozen of which vehicles for which time, and what people write about it.

CREATE TABLE incident (
    incident_id text PRIMARY KEY,
    region_id text NOT NULL REFERENCES region,
    scope_kind text NOT NULL CHECK (scope_kind IN ('vehicle', 'type', 'region')),
    scope_id text NOT NULL,
    began_at timestamptz NOT NULL,
    -- NULL while it goes on
    ended_at timestamptz CHECK (ended_at > began_at),
    opened_by text NOT NULL,
    opened_at timestamptz NOT NULL,
    idempotency_key text NOT NULL,
    closed_by text,
    closed_at timestamptz,
    unfrozen_by text,
    unfrozen_at timestamptz,
    unfrozen_reason text,
    revision integer NOT NULL DEFAULT 0,
    CHECK ((ended_at IS NULL) = (closed_at IS NULL)),
    CHECK (unfrozen_at IS NULL OR (closed_at IS NOT NULL AND unfrozen_reason <> '')),
    UNIQUE (opened_by, idempotency_key)
);
CREATE INDEX incident_region ON incident (region_id, opened_at DESC);

-- The vehicles that the scope means; one that joins an open incident's type or region is added.
CREATE TABLE incident_vehicle (
    incident_id text NOT NULL REFERENCES incident,
    vehicle_id text NOT NULL REFERENCES vehicle,
    PRIMARY KEY (incident_id, vehicle_id)
);

-- What people say of it (title, classes by the law, sections of the report), each time they change it.
CREATE TABLE incident_revision (
    incident_id text NOT NULL REFERENCES incident,
    revision integer NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (incident_id, revision)
);
CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON incident_revision
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
