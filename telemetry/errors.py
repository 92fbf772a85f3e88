"""What can go wrong with telemetry, by what the caller can do next."""


class TelemetryError(Exception):
    """Base of all errors of this package."""
