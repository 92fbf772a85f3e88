"""What can go wrong in the service, by what the caller can do next."""


class FleetError(Exception):
    """Base of all errors of this package. The message says what was wrong, where, and what to do."""


class BadRequest(FleetError):
    """The input is malformed; correct the field that the message names."""


class NotFound(FleetError):
    """There is no such thing."""


class Conflict(FleetError):
    """The thing is not in a state that allows this; look at it again."""


class Forbidden(FleetError):
    """The role of the user does not allow this."""


class NotSignedIn(FleetError):
    """Sign in first."""


class ConfigError(FleetError):
    """A setting is wrong; the message names it and where it came from."""


class StartFailed(FleetError):
    """A part of the service did not start; the message names it and its log."""


class SchemaError(FleetError):
    """The database's schema and this code do not fit; the message names the migration and what to do."""
