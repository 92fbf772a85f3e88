"""What can go wrong in planning, by what the caller can do next."""


class RoutingError(Exception):
    """Base of all errors of this package."""


class BadInput(RoutingError):
    """An input is malformed; the message names the place and what to do."""


class NoPlan(RoutingError):
    """No plan could be made in the time or work allowed."""


class NoWay(RoutingError):
    """There is no way between two places under the rules; the message says which rule is in the way."""


class TooWindy(NoWay):
    """The wind closes a way that is there on another day."""
