"""What can go wrong with a vehicle, by what the caller can do next."""


class HardwareError(Exception):
    """Base of all errors of this package."""


class LinkDown(HardwareError):
    """The vehicle is not heard; try again when it is."""


class NotOurs(HardwareError):
    """The lease on the vehicle has run out; nothing was sent, and nothing may be until it is renewed."""


class Refused(HardwareError):
    """The vehicle said no, and why; the command may be given again when the reason is gone."""


class NoAnswer(HardwareError):
    """The vehicle is heard but did not answer in time; whether it acted must be read from its state."""


class MissionRejected(HardwareError):
    """The vehicle does not carry the mission that was sent; the message says where they differ."""


class NotSupported(HardwareError):
    """This vehicle or protocol has no such command."""
