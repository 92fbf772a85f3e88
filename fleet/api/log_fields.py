"""What people send to the flight log, checked at the door."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from fleet.api.fields import Moment, Text


def _printable(text: str) -> str:
    # Line breaks are welcome here, unlike in names; other control characters are not.
    if any(ord(c) < 32 and c not in "\n\t" for c in text) or "\x7f" in text:
        raise ValueError("must not hold control characters")
    return text


Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000), AfterValidator(_printable)]
Line = Annotated[Text, Field(max_length=200)]
Hours = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class Body(BaseModel):
    """What a request may hold, and nothing else."""

    model_config = ConfigDict(extra="forbid")


class AircraftIn(Body):
    """Particulars of an aircraft. ``hours_brought`` were flown before the service knew it."""

    registration: Line = ""
    kind_name: Line = ""
    type_name: Line = ""
    type_certificate: Line = ""
    airworthiness_class: Line = ""
    airworthiness_certificate: Line = ""
    maker: Line = ""
    serial: Line = ""
    hours_brought: Hours = 0.0
    hours_at_certification: Hours | None = None
    usual_airspace: Line = ""
    usual_method: Line = ""
    permit: Line = ""


class PilotIn(Body):
    """Particulars of a pilot."""

    name: Annotated[Line, Field(min_length=1)]
    licence_class: Line = ""
    licence_number: Line = ""


class FlightIn(Body):
    """A flight or drive as a person writes it down: one that the service did not see, or a correction."""

    takeoff_at: Moment | None = None
    landing_at: Moment | None = None
    takeoff_place: Line | None = None
    landing_place: Line | None = None
    pilot_id: Annotated[str, Field(max_length=64)] | None = None
    pilot_name: Line | None = None
    licence_number: Line | None = None
    purpose: Line | None = None
    route: Line | None = None
    airspace: Line | None = None
    method: Line | None = None
    safety: Note | None = None
    void: bool | None = None


class ItemIn(Body):
    """What the look at one item found."""

    result: Literal["good", "defect", "none"]
    remark: Line = ""


class InspectionIn(Body):
    """A daily inspection: every item of the form, each with its result. An item found wrong opens a defect."""

    at: Moment | None = None
    phase: Literal["before", "after"] = "before"
    place: Annotated[Line, Field(min_length=1)]
    inspector: Line = ""
    items: dict[str, ItemIn]
    notes: Note = ""


class MaintenanceIn(Body):
    """An inspection, repair, modification or other work."""

    at: Moment | None = None
    work: Annotated[Note, Field(min_length=1)]
    parts: Note = ""
    reason: Annotated[Line, Field(min_length=1)]
    place: Annotated[Line, Field(min_length=1)]
    engineer: Line = ""
    result: Line = ""
    notes: Note = ""


class DefectIn(Body):
    """Something wrong with a vehicle; ``unairworthy`` when it must not fly with it."""

    at: Moment | None = None
    text: Annotated[Note, Field(min_length=1)]
    unairworthy: bool = False


class ActionIn(Body):
    """How a defect was put right, and who has confirmed it."""

    revision: Annotated[int, Field(ge=0)]
    at: Moment | None = None
    action: Annotated[Note, Field(min_length=1)]
    confirmer: Line = ""


class RevisionIn(Body):
    """A correction of the revision that the person has read, and why."""

    revision: Annotated[int, Field(ge=0)]
    reason: Annotated[Line, Field(min_length=1)]
    changes: dict[str, Any]


class SignIn(Body):
    """Which revision is signed."""

    revision: Annotated[int, Field(ge=0)]


CORRECTIONS: dict[str, type[Body]] = {
    "flight": FlightIn,
    "operation": FlightIn,
    "inspection": InspectionIn,
    "maintenance": MaintenanceIn,
    "defect": DefectIn,
}
"""The form that a correction of each kind of line has to fit."""
