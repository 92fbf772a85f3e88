"""What a robot says of itself (topic ``factsheet``, 6.15), as far as fleet control needs it."""

from __future__ import annotations

from pydantic import Field

from hardware.vda5050.messages import Part, Remark


class OptionalParameter(Part):
    """An optional field that the robot supports or needs."""

    parameter: str
    support: str = "SUPPORTED"


class ParameterDefinition(Part):
    """A parameter that an action takes."""

    key: str


class AgvAction(Part):
    """An action that the robot knows."""

    action_type: str
    action_parameters: tuple[ParameterDefinition, ...] = ()


class ProtocolFeatures(Part):
    """What the robot can do."""

    optional_parameters: tuple[OptionalParameter, ...] = ()
    agv_actions: tuple[AgvAction, ...] = ()


class Timing(Part):
    """Least seconds between order messages."""

    min_order_interval: float = Field(default=0.0, ge=0)


class ProtocolLimits(Part):
    """How much the robot can take; a limit that is absent or 0 is none."""

    max_array_lens: dict[str, Remark] = Field(default_factory=dict)
    max_string_lens: dict[str, Remark] = Field(default_factory=dict)
    timing: Timing = Timing()


class Factsheet(Part):
    """Topic ``factsheet`` (6.15), what we use of it."""

    protocol_features: ProtocolFeatures = ProtocolFeatures()
    protocol_limits: ProtocolLimits = ProtocolLimits()

    @property
    def numerical_ids(self) -> bool:
        """Whether ids may have digits only."""
        return self.protocol_limits.max_string_lens.get("idNumericalOnly") is True

    def longest(self, text: str) -> int | None:
        """Return how many characters a kind of text (``idLen``, ``msgLen``) may have, ``None`` for no limit."""
        return _limit(self.protocol_limits.max_string_lens.get(text))

    def most(self, array: str) -> int | None:
        """Return how many elements an array (``node.actions``) may have, ``None`` for no limit."""
        return _limit(self.protocol_limits.max_array_lens.get(array))

    def supports(self, field: str) -> bool:
        """Whether an optional field may be sent to it; ``field`` is the last part of its full name."""
        return any(
            option.parameter.rsplit(".", 1)[-1].lower() == field.lower()
            for option in self.protocol_features.optional_parameters
        )

    def action(self, action_type: str) -> AgvAction | None:
        """Return what it says of an action, ``None`` when it does not list it."""
        actions = self.protocol_features.agv_actions
        return next((action for action in actions if action.action_type == action_type), None)

    @property
    def most_nodes(self) -> int | None:
        """The most nodes that a message may have, ``None`` for no limit; two are the least that lead anywhere."""
        edges = self.most("order.edges")
        limits = (self.most("order.nodes"), None if edges is None else edges + 1, self.most("state.nodeStates"))
        return max(2, min(limit for limit in limits if limit is not None)) if any(limits) else None


def _limit(value: object) -> int | None:
    """A limit as a factsheet says it; absent, 0 or nonsense is none."""
    return value if type(value) is int and value > 0 else None
