"""The kinds of commands: what each does, to what, in how many steps, and with which parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fleet.errors import BadRequest
from routing.motion import STALL_SHARE
from routing.vehicle_type import Airframe, VehicleKind, VehicleType

LOWEST_AGL_M = 10.0
"""Lower than this a drone is brought down by landing, not by a change of altitude."""
HIGHEST_AGL_M = 150.0
"""Japan's Civil Aeronautics Act (article 132-85, enforcement rules article 236-71): higher takes a permission of its
own."""
SLOWEST_MPS = 1.0
_FASTEST_MPS = 100.0
"""Faster than any type; the type's own limit is kept to where the vehicle is known (``fleet.commands``)."""


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NoParams(_Params):
    """A command that says everything by its name."""


class NodeParams(_Params):
    """The node of the ground network at which a robot stands."""

    node: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class StepParams(_Params):
    """A step of the mission, counted from 0."""

    step: int = Field(ge=0, le=100_000)


class SiteParams(_Params):
    """A site of the region."""

    site_id: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class SpeedParams(_Params):
    """A speed over ground."""

    speed_mps: float = Field(ge=SLOWEST_MPS, le=_FASTEST_MPS, allow_inf_nan=False)


class AltitudeParams(_Params):
    """A height above the ground beneath the vehicle."""

    agl_m: float = Field(ge=LOWEST_AGL_M, le=HIGHEST_AGL_M, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class CommandKind:
    """One row of the table.

    ``steps`` is 2 for what is proposed and has to be confirmed. ``stops``: it withdraws all that was not sent yet, goes
    first, and is any pilot's to give; everything else is given by the vehicle's controller or by a rule.
    """

    name: str
    steps: int
    params: type[BaseModel]
    ja: str
    en: str
    vehicles: frozenset[VehicleKind] = frozenset(VehicleKind)
    stops: bool = False


_DRONE = frozenset({VehicleKind.DRONE})
_ROBOT = frozenset({VehicleKind.ROBOT})

_TABLE = (
    CommandKind(
        "emergency_stop", 1, NoParams, stops=True,
        ja="非常停止。駆動を直ちに切ります。製造者がその手段を備える機体だけです。飛行中のドローンは落下します。",
        en="Emergency stop: cuts the drives at once, if its maker offers that. A drone in the air falls.",
    ),
    CommandKind(
        "hold", 1, NoParams, stops=True,
        ja="その場で一時停止します（ドローンはホバリング、ロボットは停車）。",
        en="Stops where it is: a drone hovers, a robot stands.",
    ),
    CommandKind(
        "cross", 1, NodeParams, vehicles=_ROBOT,
        ja="道路の横断を許可します。左右の安全を確かめてから送ってください。",
        en="Lets a robot that stands at the kerb cross the road. Look both ways first.",
    ),
    CommandKind(
        "clear", 1, StepParams, vehicles=_DRONE,
        ja="届け先の下に人や物がないことを確かめました。ドローンは降下して荷物を放します。",
        en="The drop point is clear: the drone comes down and releases.",
    ),
    CommandKind("resume", 2, NoParams, ja="運航を再開します。", en="Goes on with its mission."),
    CommandKind(
        "return", 2, NoParams,
        ja="配達をやめて拠点へ帰還します。ドローンは予定の経路を進みます。安全確認を待つ届け先には下りず、"
        "ほかの届け先には下りますが、荷物は放しません。",
        en="Delivers no more and comes home. A drone follows its path, past the drops ahead that wait for a "
        "clear ground but down at the others, and releases nothing.",
    ),
    CommandKind(
        "land", 2, NoParams, vehicles=_DRONE,
        ja="その場に着陸します。下に人や障害物がないことを確かめてください。",
        en="Lands where it is. Make sure that nobody and nothing is below.",
    ),
    CommandKind(
        "divert", 2, SiteParams, vehicles=_DRONE,
        ja="運航をやめ、指定の地点へまっすぐ飛んで着陸します。",
        en="Gives its mission up, flies straight to a site and lands there.",
    ),
    CommandKind(
        "speed", 2, SpeedParams,
        ja="速度を変えて運航を続けます。予定より早く、または遅く着きます。",
        en="Goes on at another speed, and arrives earlier or later than planned.",
    ),
    CommandKind(
        "altitude", 2, AltitudeParams, vehicles=_DRONE,
        ja="その場で高度を変えてホバリングします。続けるには再開を送ってください。",
        en="Goes to another height above the ground and hovers there. Resume has it go on.",
    ),
    CommandKind(
        "release", 2, StepParams, vehicles=_DRONE,
        ja="荷物を今ここで放します。届け先の上で、低く、止まっているときだけです。",
        en="Lets the parcels go now: only at their drop point, low and still.",
    ),
    CommandKind(
        "skip", 2, StepParams,
        ja="この届け先を飛ばして先へ進みます。荷物は積んだままです。",
        en="Goes on without this delivery; its parcels stay aboard.",
    ),
    CommandKind(
        "unlock", 2, StepParams, vehicles=_ROBOT,
        ja="荷室の鍵を開けます。受取人が目の前にいることを確かめてください。",
        en="Unlocks the parcels. Make sure that the recipient stands there.",
    ),
    CommandKind(
        "abort", 2, NoParams,
        ja="運航を打ち切ります。ロボットはその場に止まり、飛行中のドローンは届く最寄りの地点に着陸します。",
        en="Gives the mission up: a robot stands where it is, a drone in the air lands at the nearest site in reach.",
    ),
)  # fmt: skip

KINDS: Mapping[str, CommandKind] = {kind.name: kind for kind in _TABLE}
"""Every kind by its name. In front of the others goes what stops."""

STOPS = tuple(kind.name for kind in _TABLE if kind.stops)
"""Those that stop, the most urgent first (``claim`` and ``withdraw_others`` of ``commands.sql`` keep to it)."""

MOVES = frozenset({"emergency_stop", "hold", "resume", "return", "land", "divert", "altitude", "abort"})
"""Those that change where a vehicle goes, or whether it does; all others leave it on the way that it is on."""

RULE_PREFIX = "rule: "
"""An issuer that is no person: no user can be called so."""


def kind_of(name: str) -> CommandKind:
    """Return a kind; raises ``BadRequest``."""
    kind = KINDS.get(name)
    if kind is None:
        raise BadRequest(f"kind: {name!r} is not a command; known: {', '.join(KINDS)}")
    return kind


def check_params(kind: CommandKind, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the parameters of a command as they are stored; raises ``BadRequest`` naming the field."""
    try:
        return kind.params.model_validate(dict(params or {})).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(["params", *map(str, first["loc"])])
        raise BadRequest(f"{field}: {first['msg']} (command {kind.name})") from None


def check_limits(kind: CommandKind, params: Mapping[str, Any], vehicle_type: VehicleType) -> None:
    """Raise ``BadRequest`` naming the parameter that a vehicle of this type cannot keep to."""
    speed_mps = params.get("speed_mps")
    if kind.params is not SpeedParams or speed_mps is None:
        return
    drone = vehicle_type.kind is VehicleKind.DRONE
    most = vehicle_type.max_airspeed_mps if drone else vehicle_type.cruise_speed_mps
    # Slower than this a wing does not carry.
    wing = vehicle_type.built_as is Airframe.VTOL
    least = STALL_SHARE * vehicle_type.cruise_speed_mps if wing else SLOWEST_MPS
    if not least <= speed_mps <= most:
        raise BadRequest(
            f"params.speed_mps: a {vehicle_type.type_id} goes at {least:.1f} to {most:.1f} m/s, not {speed_mps:g}"
        )


def check_vehicle(kind: CommandKind, vehicle_kind: str) -> None:
    """Raise ``BadRequest`` for a command that vehicles of this kind do not know."""
    if vehicle_kind not in kind.vehicles:
        only = " or a ".join(sorted(kind.vehicles))
        raise BadRequest(f"kind: only a {only} can {kind.name}")


def by_rule(issuer: str) -> bool:
    """Whether a command was given by a rule and not by a person."""
    return issuer.startswith(RULE_PREFIX)
