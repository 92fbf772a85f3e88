-- What must be so before a vehicle may set out, beside its plan.

-- The category of operation decides how many aircraft one remote pilot may have in the air.
ALTER TABLE vehicle ADD COLUMN category text NOT NULL DEFAULT 'level_4'
    CHECK (category IN ('level_3', 'level_3_5', 'level_4'));

ALTER TABLE weather_report
    ADD COLUMN rain_mm_h double precision CHECK (rain_mm_h >= 0),
    ADD COLUMN visibility_m double precision CHECK (visibility_m >= 0);

-- A vehicle, a type or a region that may not set out until somebody lifts it.
CREATE TABLE grounding (
    grounding_id text PRIMARY KEY,
    region_id text NOT NULL REFERENCES region,
    scope_kind text NOT NULL CHECK (scope_kind IN ('vehicle', 'type', 'region')),
    scope_id text NOT NULL,
    reason text NOT NULL,
    grounded_at timestamptz NOT NULL,
    grounded_by text NOT NULL,
    lifted_at timestamptz,
    lifted_by text,
    lift_reason text
);
CREATE INDEX grounding_standing ON grounding (region_id) WHERE lifted_at IS NULL;

-- Somebody has looked whether emergency airspace (緊急用務空域) was declared over the region.
CREATE TABLE airspace_check (
    check_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region_id text NOT NULL REFERENCES region,
    checked_at timestamptz NOT NULL,
    checked_by text NOT NULL,
    source text NOT NULL
);
CREATE INDEX airspace_check_newest ON airspace_check (region_id, checked_at DESC);

CREATE TABLE emergency_airspace (
    airspace_id text PRIMARY KEY,
    region_id text NOT NULL REFERENCES region,
    name text NOT NULL,
    -- [[lat, lon], ...], closed by itself; from the ground up
    ring jsonb NOT NULL,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz CHECK (ends_at > begins_at),
    declared_at timestamptz NOT NULL,
    declared_by text NOT NULL,
    withdrawn_at timestamptz,
    withdrawn_by text
);
CREATE INDEX emergency_airspace_standing ON emergency_airspace (region_id) WHERE withdrawn_at IS NULL;

-- How many aircraft of a category one pilot may have in the air here, and what says so; without a row the guideline's.
CREATE TABLE pilot_limit (
    region_id text NOT NULL REFERENCES region,
    category text NOT NULL CHECK (category IN ('level_3', 'level_3_5', 'level_4')),
    most integer NOT NULL CHECK (most >= 0),
    source text NOT NULL,
    set_at timestamptz NOT NULL,
    set_by text NOT NULL,
    PRIMARY KEY (region_id, category)
);

CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON grounding
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON emergency_airspace
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
