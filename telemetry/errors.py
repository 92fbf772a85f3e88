"""What can go wrong with telemetry, by what the caller can do next."""


class TelemetryError(Exception):
    """Base of all errors of this package."""


class SpoolInUse(TelemetryError):
    """Another process writes to this spool; give this one another name, or end the other."""


class NotStorable(TelemetryError):
    """A sample that the store cannot hold; the message names the field. Correct what made it."""
