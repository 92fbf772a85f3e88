"""A vehicle's log as it is read: lines with names, numbers and totals filled in, and what warns about it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from fleet import flight_log, vehicles
from fleet.csv_text import BOM, lines
from fleet.db.database import Connection
from fleet.log_forms import FORMS, PARTICULARS, SECONDS, Column, Lang, text_of
from hardware.profiles import load_profile

PARTS: dict[str, tuple[str, ...]] = {
    "drone": ("flight", "defect", "inspection", "maintenance"),
    "robot": ("operation", "defect", "inspection", "maintenance"),
}
"""The forms of a log in their order."""


async def read(conn: Connection, vehicle_id: str, *, start: datetime, end: datetime) -> dict[str, Any]:
    """Return a log: ``vehicle``, ``particulars``, ``warnings`` (code and text in both languages), ``parts``.

    ``parts`` holds for each form its lines, oldest first, with all their fields: a signed line as it was signed, the
    others with the particulars of today. Raises ``NotFound`` for an unknown vehicle.
    """
    vehicle = await vehicles.get(conn, vehicle_id)
    particulars = head(vehicle, await flight_log.particulars(conn, "aircraft", vehicle_id))
    rows = await flight_log.lines(conn, vehicle_id, start=start, end=end)
    people = await flight_log.pilots(conn, sorted({r["content"]["pilot_id"] for r in rows if _pilot(r)}))
    shown = await asyncio.to_thread(lambda: [_shown(row, vehicle, particulars, people) for row in rows])
    return {
        "vehicle": {name: vehicle[name] for name in ("vehicle_id", "kind", "type_id", "simulated", "retired_at")},
        "particulars": particulars,
        "warnings": _warnings(particulars, shown, await flight_log.open_defects(conn, vehicle_id)),
        "parts": {kind: [line for line in shown if line["kind"] == kind] for kind in PARTS[vehicle["kind"]]},
    }


async def line(conn: Connection, entry_id: str) -> dict[str, Any]:
    """Return one line with its ``revisions``; raises ``NotFound``."""
    row = await flight_log.get(conn, entry_id)
    just_after = row["began_at"] + timedelta(microseconds=1)
    read_log = await read(conn, row["vehicle_id"], start=row["began_at"], end=just_after)
    found = next(each for each in read_log["parts"][row["kind"]] if each["entry_id"] == entry_id)
    return {**found, "revisions": await flight_log.revisions(conn, entry_id)}


async def snapshot(conn: Connection, entry_id: str) -> dict[str, Any]:
    """Return what a signature fixes of a line beside its content: particulars, the pilot's name and number, totals."""
    shown = await line(conn, entry_id)
    names = (*PARTICULARS, "pilot_name", "licence_number", "total_flight_time_s", "since_certification_s")
    return {name: shown[name] for name in names if shown.get(name) not in (None, "")}


def head(vehicle: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """Return the particulars of an aircraft, with what its profile says where nobody has said better."""
    profile = load_profile(vehicle["type_id"])
    known = {"type_name": profile.name, "kind_name": profile.airframe if vehicle["kind"] == "drone" else "robot"}
    return {**dict.fromkeys(PARTICULARS, ""), **known, **{k: v for k, v in kept.items() if v not in (None, "")}}


def table(log: dict[str, Any], kind: str) -> list[Column]:
    """Return the columns of a form in a file: of flights also the particulars and seconds."""
    columns = list(FORMS[kind][1])
    if kind in ("flight", "operation"):
        columns += SECONDS
    return [Column(words, text_of(key)) for key, words in PARTICULARS.items()] + columns


def csv(log: dict[str, Any], kind: str, lang: Lang | None) -> str:
    """Return one form as CSV with a byte order mark; headings in one language, or in Japanese with English below."""
    columns = table(log, kind)
    heads = [[c.head.in_(each) for c in columns] for each in ((lang,) if lang else ("ja", "en"))]
    shown: Lang = lang or "ja"
    rows = [[c.show(entry, shown) for c in columns] for entry in log["parts"][kind] if not entry["void"]]
    return BOM + lines([*heads, *rows])


def _pilot(row: dict[str, Any]) -> bool:
    return bool(row["content"].get("pilot_id"))


def _shown(
    row: dict[str, Any], vehicle: dict[str, Any], particulars: dict[str, Any], people: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    content = dict(row["content"])
    signed = content.pop("as_signed", {})
    pilot = people.get(content.get("pilot_id") or "", {})
    total_s = float(particulars.get("hours_brought_s") or 0) + float(row["total_s"])
    certified_at_s = particulars.get("hours_at_certification_s")
    figures: dict[str, Any] = {
        "total_flight_time_s": total_s,
        "since_certification_s": None if certified_at_s is None else total_s - float(certified_at_s),
    }
    if row["kind"] in ("flight", "operation"):
        figures["flight_time_s"] = (row["ended_at"] - row["began_at"]).total_seconds()
    return {
        **{name: particulars[name] for name in PARTICULARS},
        "pilot_name": pilot.get("name", ""),
        "licence_number": pilot.get("licence_number", ""),
        **figures,
        **{key: value for key, value in content.items() if value not in (None, "")},
        **signed,
        "vehicle_kind": vehicle["kind"],
        **{name: row[name] for name in ("entry_id", "vehicle_id", "kind", "revision", "signed_by", "void")},
        "drafted": row["revision"] == 0 and row["actor"] == flight_log.SERVICE,
    }


def _warnings(
    particulars: dict[str, Any], shown: list[dict[str, Any]], defects: list[dict[str, Any]]
) -> list[dict[str, str]]:
    found = []
    for defect in defects:
        grave = bool(defect["content"].get("unairworthy"))
        text = defect["content"]["text"]
        found.append(
            {
                "code": "not_airworthy" if grave else "open_defect",
                "ja": f"{'飛行できない不具合' if grave else '未処置の不具合'}：{text}",
                "en": f"{'Not airworthy' if grave else 'Defect not put right'}: {text}",
            }
        )
    missing = [name for name in ("registration", "maker", "serial") if not particulars[name]]
    if missing:
        ja = "、".join(PARTICULARS[name].ja for name in missing)
        en = ", ".join(PARTICULARS[name].en for name in missing)
        found.append({"code": "particulars", "ja": f"機体情報が未入力です：{ja}", "en": f"Not filled in: {en}"})
    flights = [entry for entry in shown if entry["kind"] in ("flight", "operation") and not entry["void"]]
    unsigned = sum(entry["signed_by"] is None for entry in flights)
    if unsigned:
        found.append(
            {"code": "unsigned", "ja": f"未署名の記録が {unsigned} 件あります", "en": f"{unsigned} lines not signed"}
        )
    nobody = sum(not entry["pilot_name"] for entry in flights)
    if nobody:
        found.append(
            {
                "code": "no_pilot",
                "ja": f"操縦者が未入力の記録が {nobody} 件あります",
                "en": f"{nobody} lines without a pilot",
            }
        )
    return found
