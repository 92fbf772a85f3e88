"""What a zone asks of a flight and how high it reaches, as ED-269 and ED-318 write it.

What cannot be read is taken as the stricter: prohibited, and open above or below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from routing.errors import BadInput
from routing.formats.zone_drafts import finite
from routing.region.model import AltitudeReference, Restriction, Zone
from routing.region.notes import ImportNotes
from routing.region.osm import clean

FOOT_M = 0.3048

RESTRICTIONS = {
    "PROHIBITED": Restriction.PROHIBITED,
    "REQ_AUTHORISATION": Restriction.AUTHORISATION,
    "REQ_AUTHORIZATION": Restriction.AUTHORISATION,
    # U-space: no flight without the service provider's authorisation (Regulation (EU) 2021/664, article 6).
    "USPACE": Restriction.AUTHORISATION,
    "CONDITIONAL": Restriction.CONDITIONAL,
    "NO_RESTRICTION": Restriction.NONE,
}

_REFERENCES = {
    "AGL": AltitudeReference.AGL,
    "SFC": AltitudeReference.AGL,
    "AMSL": AltitudeReference.AMSL,
    "MSL": AltitudeReference.AMSL,
    "WGS84": AltitudeReference.ELLIPSOID,
    "W84": AltitudeReference.ELLIPSOID,
}
_UNLIMITED = {"", "UNL", "UNLIMITED", "NONE", "NULL"}
_GROUND = {"GND", "SFC", "GROUND"}


@dataclass(frozen=True, slots=True)
class Band:
    """From where to where a zone reaches in height; ``None``: open."""

    floor_m: float | None = None
    floor_reference: AltitudeReference = AltitudeReference.AGL
    ceiling_m: float | None = None
    ceiling_reference: AltitudeReference = AltitudeReference.AGL


def with_band(zone: Zone, band: Band) -> Zone:
    """The zone with another reach in height."""
    return replace(
        zone,
        floor_m=band.floor_m,
        floor_reference=band.floor_reference,
        ceiling_m=band.ceiling_m,
        ceiling_reference=band.ceiling_reference,
    )


def read_restriction(value: object, where: str, notes: ImportNotes) -> Restriction:
    """The restriction; one that is missing or unknown is taken as prohibited."""
    text = str(value).strip().upper().replace(" ", "_")
    found = RESTRICTIONS.get(text)
    if found is None:
        notes.warn(f"{where}: restriction {str(value)[:40]!r} is not known; it is taken as PROHIBITED")
    return found or Restriction.PROHIBITED


def read_conditions(value: object) -> tuple[str, ...]:
    """Conditions: a text, or a list of texts."""
    given = value if isinstance(value, list) else [value]
    texts = [text.get("text") if isinstance(text, Mapping) else text for text in given]
    return tuple(dict.fromkeys(clean(text) for text in texts if isinstance(text, str) and text.strip()))


def to_metres(unit: object, where: str, notes: ImportNotes) -> float:
    """Metres of a unit of length; metres where it is missing, and with a note where it is not known."""
    text = str(unit or "M").strip().upper()
    if text in ("FT", "F", "FEET", "FOOT"):
        return FOOT_M
    if text not in ("M", "METRE", "METER", "METRES", "METERS"):
        # Feet would make the zone smaller.
        notes.warn(f"{where}: unit {text[:20]!r} is not known; metres are taken")
    return 1.0


def read_band(
    lower: tuple[object, object], upper: tuple[object, object], unit_m: float, where: str, notes: ImportNotes
) -> Band:
    """The band between two pairs of a limit and what it is measured from."""
    floor_m, floor_reference = _limit(lower, unit_m, f"{where}: lower limit", notes)
    ceiling_m, ceiling_reference = _limit(upper, unit_m, f"{where}: upper limit", notes)
    if floor_m is not None and ceiling_m is not None and floor_reference is ceiling_reference and ceiling_m <= floor_m:
        notes.warn(f"{where}: its upper limit is not above its lower; both are taken as open")
        return Band()
    return Band(floor_m, floor_reference, ceiling_m, ceiling_reference)


def _limit(
    given: tuple[object, object], unit_m: float, where: str, notes: ImportNotes
) -> tuple[float | None, AltitudeReference]:
    value, reference_text = given
    name = str(reference_text or "AGL").strip().upper().replace("-", "").replace(" ", "")
    reference = _REFERENCES.get(name)
    text = value.strip().upper() if isinstance(value, str) else value
    if text is None or (isinstance(text, str) and text in _UNLIMITED):
        return None, reference or AltitudeReference.AGL
    if isinstance(text, str) and text in _GROUND:
        return 0.0, AltitudeReference.AGL
    try:
        number = finite(value, where, "limit")
    except BadInput as error:
        notes.warn(f"{error}; it is taken as open")
        return None, reference or AltitudeReference.AGL
    if reference is None:
        # Such as STD, a pressure altitude: what height that is depends on the day.
        notes.warn(f"{where}: a height above {name[:20]!r} is not known; it is taken as open")
        return None, AltitudeReference.AGL
    return round(number * unit_m, 3), reference


def texts_of(value: object) -> dict[str, str]:
    """Texts by language (two letters, ``""`` where none is named): one text, or a list of them with languages."""
    if isinstance(value, str):
        return {"": clean(value)} if value.strip() else {}
    found: dict[str, str] = {}
    for text in value if isinstance(value, list) else []:
        if isinstance(text, str) and text.strip():
            found.setdefault("", clean(text))
        elif isinstance(text, Mapping) and isinstance(text.get("text"), str) and text["text"].strip():
            found.setdefault(str(text.get("lang") or "")[:2].lower(), clean(text["text"]))
    return found


def names_in(texts: Mapping[str, str]) -> tuple[str, str]:
    """Japanese and English; each is the first there is where it is missing."""
    local = next(iter(texts.values()), "")
    return texts.get("ja") or local, texts.get("en") or local


def kind_of(properties: Mapping[str, Any], restriction: Restriction) -> str:
    """What is protected: the first reason, else what is asked of a flight."""
    reasons = properties.get("reason")
    reasons = reasons if isinstance(reasons, list) else [reasons]
    first = next((reason for reason in reasons if isinstance(reason, str) and reason.strip()), "")
    return clean(first).lower() or restriction.value
