-- Who commands which vehicle, and who is at work.

-- One controller a vehicle, or none. The epoch grows with every change of hands: what was said under an older one is
-- not sent any more.
CREATE TABLE vehicle_control (
    vehicle_id text PRIMARY KEY REFERENCES vehicle,
    pilot text,
    epoch bigint NOT NULL DEFAULT 0,
    since timestamptz NOT NULL,
    -- its pilot wants this one to take it over
    offered_to text,
    offered_at timestamptz,
    CHECK (offered_to IS NULL OR (pilot IS NOT NULL AND offered_at IS NOT NULL AND offered_to <> pilot))
);
CREATE INDEX vehicle_control_pilot ON vehicle_control (pilot) WHERE pilot IS NOT NULL;

-- Periods of duty (domain time), and the last sign of life in each.
CREATE TABLE pilot_duty (
    duty_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pilot text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    seen_wall timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX pilot_duty_open ON pilot_duty (pilot) WHERE ended_at IS NULL;

CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE ON vehicle_control
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
-- Not for a sign of life, of which there are many.
CREATE TRIGGER notify_changed AFTER INSERT OR UPDATE OF ended_at ON pilot_duty
    FOR EACH ROW EXECUTE FUNCTION notify_changed();
