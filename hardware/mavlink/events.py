"""PX4's events about missions: why it will not fly one, which it says in no status text.

An event is identified by a hash of its name (MAVLink events interface; PX4
``platforms/common/include/px4_platform_common/events.h``: FNV-1a, 32 bits, the lower 24 kept, component 1
on top). Its own wording lies in metadata that comes apart from the message, so the words here are ours.
"""

from __future__ import annotations

_REJECTED = {
    "navigator_mis_takeoff_too_low": "the take-off ends below home",
    "navigator_mis_takeoff_not_first": "the take-off is not the first item",
    "navigator_mis_takeoff_missing": "there is no take-off",
    "navigator_mis_takeoff_or_land_missing": "there is no take-off or no landing",
    "navigator_mis_land_missing": "there is no landing",
    "feasibility_mis_in_air_landing_req": "there is no landing",
    "navigator_mis_add_land_or_rm_to": "there is a take-off but no landing",
    "navigator_mis_add_to_or_rm_land": "there is a landing but no take-off",
    "navigator_mis_starts_w_landing": "it begins with the landing",
    "navigator_mis_starts_w_landing2": "it begins with the landing",
    "navigator_mis_invalid_land": "the landing is invalid",
    "navigator_mis_multiple_land": "there is more than one landing",
    "navigator_mis_approach_wp_below_land": "the last point lies below the landing",
    "navigator_mis_glide_slope_too_steep": "the way to the landing is too steep",
    "navigator_mis_no_home_rel_alt": "heights are relative and there is no home position",
    "navigator_mis_unsup_cmd": "an item's command is not supported",
    "navigator_mis_vtol_items": "it has items for another kind of aircraft",
    "navigator_mis_geofence_violation": "a point lies outside the geofence",
    "navigator_mis_geofence_no_home": "the geofence needs a home position",
    "navigator_mis_geofence_no_home2": "the geofence needs a home position",
    "navigator_mis_no_pos_lock": "there is no position fix yet",
}
_OTHER = {
    "commander_mission_start_denied_no_mission": "Mission start denied: no valid mission",
    "mission_not_valid_refuse": "No valid mission, take-off refused",
    "mission_not_valid_loiter": "No valid mission, holding",
    "mavlink_mission_storage_failure": "The mission could not be stored",
    "mission_failed_to_read_wp": "An item of the mission could not be read from storage",
}

REJECTION = "Mission rejected"


def event_id(name: str) -> int:
    """Return the number of an event of the autopilot."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value & 0xFFFFFF | 1 << 24


_WORDS = {event_id(name): f"{REJECTION}: {words}" for name, words in _REJECTED.items()} | {
    event_id(name): words for name, words in _OTHER.items()
}


def words_of(event: int) -> str | None:
    """Return what an event means, ``None`` for one that is not about a mission."""
    return _WORDS.get(event)
