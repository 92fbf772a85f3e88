"""Sites for a region for which nobody has given any: hubs at shops, and drop points where people live near them.

Everything is chosen by what the map says and by fixed rules, so that the same files give the same sites.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from routing.errors import BadInput
from routing.geo import LocalFrame
from routing.region.landscape import local_coords
from routing.region.model import Site, SiteKind, Terrain, WayKind
from routing.region.network import Network
from routing.region.notes import ImportNotes
from routing.region.osm import OsmData, Tags
from routing.region.pads import Pads
from routing.region.protected import names_of
from routing.region.sites import SNAP_M, Placing, WantedSite

MAX_HUBS, MAX_CANDIDATE_HUBS = 3, 40
HUB_SPACING_M = 2_000.0
HUB_PADS = 4
FIRST_HUB_POINTS, OTHER_HUB_POINTS = 16, 6
"""Drop points of each mode for the best hub, and for each further one."""

ENOUGH = 12
"""Drop points of each mode that a day with a mixed fleet needs; fewer are said aloud."""

ROBOT_NEAR_M, ROBOT_FAR_M, ROBOT_BOTH_M = 550.0, 1_450.0, 3_500.0
"""Along the ways: drop points that a robot serves from a hub, and how far one for drones may be to take robots too."""

BOTH_SHARE = 0.25
"""Share of the far drop points that take robots too, at most: where the way is long, a robot is the exception."""

DRONE_NEAR_M, DRONE_FAR_M = 2_100.0, 6_000.0
"""In a straight line: drop points that a drone serves from a hub."""

SPACING_M = {True: 90.0, False: 300.0}
"""Least distance between drop points for robots, and between those for drones."""

CRUISE_MPS, CLIMB_MPS, DESCENT_MPS = 10.0, 3.0, 1.5
FLIGHT_S = 800.0
"""Figures of a drone of the 1 kg class, and how long it may be under way, there and back, so that a battery of
350 Wh at 800 W keeps a quarter in reserve and a quarter of the rest for wind, start and landing."""

BAND_M = (65.0, 145.0)
"""Heights above ground between which a flight may choose, as planning does."""

_SAMPLE_M = 60.0
_Array = npt.NDArray[np.float64]

_HUB_RANK = {
    ("shop", "supermarket"): 0,
    ("shop", "convenience"): 1,
    ("shop", "general"): 1,
    ("amenity", "post_office"): 2,
    ("amenity", "townhall"): 3,
    ("amenity", "community_centre"): 3,
    ("shop", "mall"): 4,
    ("shop", "department_store"): 4,
    ("amenity", "marketplace"): 5,
}
_SETTLEMENTS = ("hamlet", "isolated_dwelling", "farm", "village", "neighbourhood", "quarter", "suburb", "town")
_NO_CUSTOMER = {
    *("parking", "parking_space", "parking_entrance", "toilets", "bench", "fountain", "shelter", "atm", "fuel"),
    *("waste_basket", "recycling", "waste_disposal", "drinking_water", "bicycle_parking", "motorcycle_parking"),
    *("vending_machine", "telephone", "post_box", "clock", "taxi", "charging_station", "school", "kindergarten"),
    *("hospital", "prison", "car_wash", "grave_yard", "hunting_stand", "bbq", "information", "viewpoint"),
    *("picnic_site", "artwork", "attraction", "camp_site", "bus_station", "ticket_validator", "theme_park"),
    *("ski_school", "lift_pass", "wilderness_hut"),
}
_STREETS = (WayKind.RESIDENTIAL, WayKind.SERVICE, WayKind.ROAD)


@dataclass(frozen=True, slots=True)
class _Place:
    """Somewhere a parcel may be wanted, or a hub may be; a lower rank is a better one."""

    rank: int
    key: str
    name_ja: str
    name_en: str
    lon: float
    lat: float
    tags: Tags


def choose_sites(
    data: OsmData,
    network: Network,
    frame: LocalFrame,
    terrain: Terrain,
    pads: Pads,
    placing: Placing,
    notes: ImportNotes,
) -> tuple[Site, ...]:
    """Choose hubs and drop points.

    Raises ``BadInput`` when there is no place for a hub at all. The notes say when there are fewer drop points than
    a mixed fleet needs.
    """
    return _Chooser(data, network, frame, terrain, pads, placing, notes).sites()


class _Chooser:
    def __init__(
        self,
        data: OsmData,
        network: Network,
        frame: LocalFrame,
        terrain: Terrain,
        pads: Pads,
        placing: Placing,
        notes: ImportNotes,
    ) -> None:
        self._network, self._frame, self._terrain = network, frame, terrain
        self._pads, self._placing, self._notes = pads, placing, notes
        self._graph = _robot_graph(network)
        self._places = sorted(_places(data, network, placing), key=lambda place: (place.rank, place.key))
        self._xy = self._local(self._places)
        self._node_m, self._node = placing.nearest(self._xy)
        self._settlements = [place for place in self._places if place.tags.get("place") in _SETTLEMENTS]
        self._settlement_tree = KDTree(self._local(self._settlements)) if self._settlements else None
        self._hub_places = self._candidate_hubs(data)
        self._names: Counter[tuple[str, str]] = Counter()

    def _local(self, places: Sequence[_Place]) -> _Array:
        return local_coords(np.array([(place.lon, place.lat) for place in places]).reshape(-1, 2), self._frame)

    def _candidate_hubs(self, data: OsmData) -> list[_Place]:
        """Shops and offices that robots can reach and beside which there is room for pads."""
        found = sorted(_hub_places(data), key=lambda place: (place.rank, place.key))
        found = [place for place in found if self._has_room(place)][:MAX_CANDIDATE_HUBS]
        if found:
            return found
        self._notes.warn("no shop, post office or town hall beside ways for robots: a hub was put on a street")
        streets = [place for place in self._places if place.rank == _STREET_RANK]
        every = max(1, len(streets) // MAX_CANDIDATE_HUBS)
        return [place for place in streets[::every] if self._has_room(place)][:MAX_CANDIDATE_HUBS]

    def _has_room(self, place: _Place) -> bool:
        at = self._local([place])
        distance_m, _ = self._placing.nearest(at)
        return bool(distance_m[0] <= SNAP_M) and len(self._pads.near(at[0], HUB_PADS)) >= HUB_PADS

    def sites(self) -> tuple[Site, ...]:
        if not self._hub_places:
            raise BadInput(
                "no place for a hub was found (a shop, post office or street with room for pads): give --sites F"
            )
        xy = self._local(self._hub_places)
        _, nodes = self._placing.nearest(xy)
        ways_m = dijkstra(self._graph, directed=False, indices=nodes, limit=ROBOT_BOTH_M)
        options = [(self._robot_options(ways_m[i]), self._drone_options(xy[i])) for i in range(len(self._hub_places))]
        worth = [self._worth(*each) for each in options]
        order = sorted(range(len(worth)), key=lambda i: (-worth[i][0], -worth[i][1], i))
        hubs: list[int] = []
        for i in order:
            apart = all(np.hypot(*(xy[i] - xy[j])) >= HUB_SPACING_M for j in hubs)
            if len(hubs) < MAX_HUBS and apart and (not hubs or worth[i][0] >= ENOUGH):
                hubs.append(i)
        return self._sites(hubs, options, ways_m)

    def _sites(
        self, hubs: Sequence[int], options: Sequence[tuple[list[int], list[int]]], ways_m: _Array
    ) -> tuple[Site, ...]:
        sites = [
            self._placing.place(
                self._wanted(f"hub-{number}", SiteKind.HUB, self._hub_places[i], drone=True, robot=True)
            )
            for number, i in enumerate(hubs, start=1)
        ]
        taken: dict[bool, list[_Array]] = {True: [], False: []}
        used_nodes = {site.node for site in sites}
        drops: list[Site] = []
        for number, i in enumerate(hubs):
            most = FIRST_HUB_POINTS if number == 0 else OTHER_HUB_POINTS
            for near, candidates in zip((True, False), options[i], strict=True):
                found = self._take(candidates, most, near, taken, used_nodes, ways_m[i], len(drops))
                drops += found
                if number == 0 and len(found) < ENOUGH:
                    mode = "robots" if near else "drones"
                    self._notes.warn(
                        f"only {len(found)} drop points for {mode} were found around {sites[0].name_en}: give --sites"
                        " F, or an extent with more in it"
                    )
        self._notes.counts["sites: hubs"] = len(sites)
        self._notes.counts["sites: drop points for robots"] = sum(site.accepts_robot for site in drops)
        self._notes.counts["sites: drop points for drones"] = sum(site.accepts_drone for site in drops)
        return (*sites, *drops)

    def _take(
        self,
        candidates: Iterable[int],
        most: int,
        near: bool,
        taken: dict[bool, list[_Array]],
        used_nodes: set[str | None],
        ways_m: _Array,
        before: int,
    ) -> list[Site]:
        """Place up to ``most`` of the candidates, apart from one another and from those taken."""
        found: list[Site] = []
        for i in candidates:
            if len(found) >= most:
                break
            if any(np.hypot(*(self._xy[i] - other)) < SPACING_M[near] for other in taken[near]):
                continue
            both = sum(site.accepts_robot and site.accepts_drone for site in found) < BOTH_SHARE * most
            robot = near or bool(both and self._node_m[i] <= SNAP_M and ways_m[self._node[i]] <= ROBOT_BOTH_M)
            if robot and self._network.nodes[int(self._node[i])].node_id in used_nodes:
                continue
            site_id = f"drop-{before + len(found) + 1:02d}"
            wanted = self._wanted(site_id, SiteKind.DROP_POINT, self._places[i], drone=not near, robot=robot)
            try:
                site = self._placing.place(wanted)
            except BadInput:
                self._notes.skip("places for drop points without room for a pad")
                continue
            found.append(self._numbered(site))
            taken[near].append(self._xy[i])
            used_nodes.add(site.node)
        return found

    def _numbered(self, site: Site) -> Site:
        """The site with a number behind its names where they have been used before."""
        names = (site.name_ja, site.name_en)
        self._names[names] += 1
        number = self._names[names]
        if number == 1:
            return site
        return replace(site, name_ja=f"{site.name_ja} {number}", name_en=f"{site.name_en} {number}")

    def _wanted(self, site_id: str, kind: SiteKind, place: _Place, *, drone: bool, robot: bool) -> WantedSite:
        name_ja, name_en = self._named(place)
        return WantedSite(site_id, kind, name_ja, name_en, place.lon, place.lat, drone, robot)

    def _named(self, place: _Place) -> tuple[str, str]:
        """The place's own name, that of the street, or that of the settlement."""
        if place.name_en or place.name_ja:
            return place.name_ja, place.name_en
        at = self._local([place])
        distance_m, node = self._placing.nearest(at)
        street = self._network.streets[int(node[0])]
        if street.name and not street.covered and distance_m[0] <= 2 * SNAP_M:
            return street.name, street.name
        if self._settlement_tree is not None:
            _, found = self._settlement_tree.query(at[0])
            nearest = self._settlements[int(found)]
            return nearest.name_ja, nearest.name_en
        return "届け先", "Drop point"

    def _robot_options(self, ways_m: _Array) -> list[int]:
        """Places at a fair distance along the ways, the best first."""
        at_m = np.where(self._node_m <= SNAP_M, ways_m[self._node], np.inf)
        fits = (at_m >= ROBOT_NEAR_M) & (at_m <= ROBOT_FAR_M)
        return [int(i) for i in np.flatnonzero(fits)]

    def _drone_options(self, hub: _Array) -> list[int]:
        """Places that a drone reaches and comes back from, by rank and then by effort."""
        straight_m = np.hypot(*(self._xy - hub).T)
        fits = np.flatnonzero((straight_m >= DRONE_NEAR_M) & (straight_m <= DRONE_FAR_M))
        # One in each square of the spacing: buildings are many, and the effort of each takes time.
        _, first = np.unique(np.floor(self._xy[fits] / SPACING_M[False]), axis=0, return_index=True)
        fits = fits[np.sort(first)]
        fits = fits[self._pads.way_is_open(hub, self._xy[fits])]
        flight_s = _there_and_back_s(hub, self._xy[fits], self._terrain)
        within = flight_s <= FLIGHT_S
        fits, flight_s = fits[within], flight_s[within]
        ranks = np.array([self._places[int(i)].rank for i in fits])
        return [int(i) for i in fits[np.lexsort((fits, flight_s.round(), ranks))]]

    def _worth(self, robots: Sequence[int], drones: Sequence[int]) -> tuple[int, float]:
        """How many drop points of both modes a hub has, up to enough, and how good they are."""
        apart = [self._apart(robots, near=True), self._apart(drones, near=False)]
        # A settlement is worth more than a building, and that more than some point on a street.
        ranks = [self._places[i].rank for each in apart for i in each]
        return sum(min(ENOUGH, len(each)) for each in apart), sum(0.5**rank for rank in ranks)

    def _apart(self, candidates: Sequence[int], *, near: bool) -> list[int]:
        """The first candidates that are apart from one another."""
        taken: list[int] = []
        for i in candidates:
            if len(taken) >= FIRST_HUB_POINTS:
                break
            if all(np.hypot(*(self._xy[i] - self._xy[other])) >= SPACING_M[near] for other in taken):
                taken.append(i)
        return taken


_STREET_RANK = 3


def _places(data: OsmData, network: Network, placing: Placing) -> Iterator[_Place]:
    """Where parcels may be wanted: settlements and businesses with a name, buildings, and points on streets."""
    for key, lon, lat, tags in _tagged(data):
        ja, en = names_of(tags)
        customer = any(k in tags and tags[k] not in _NO_CUSTOMER for k in ("shop", "amenity", "tourism", "office"))
        if (en and tags.get("place") in _SETTLEMENTS) or (en and customer):
            yield _Place(0 if "place" in tags else 1, key, ja, en, lon, lat, tags)
        elif tags.get("building", "no") not in ("no", "garage", "garages", "shed", "roof", "ruins", "greenhouse"):
            yield _Place(2, key, "", "", lon, lat, tags)
    streets = [
        number
        for number in placing.usable
        if network.streets[number].kind in _STREETS and not network.streets[number].covered
    ]
    for i, number in enumerate(streets):
        at = network.nodes[number].position
        # Multiples of the golden section are spread evenly: any few of them come from all over the network.
        yield _Place(_STREET_RANK, f"{(i * 0.6180339887) % 1.0:.9f}", "", "", at.lon, at.lat, {})


def _hub_places(data: OsmData) -> Iterator[_Place]:
    for key, lon, lat, tags in _tagged(data):
        ranks = [rank for (name, value), rank in _HUB_RANK.items() if tags.get(name) == value]
        if ranks:
            ja, en = names_of(tags)
            yield _Place(min(ranks), key, ja, en, lon, lat, tags)


def _tagged(data: OsmData) -> Iterator[tuple[str, float, float, Tags]]:
    """Points, and the middles of areas, in the extent."""
    for point in data.points:
        yield f"p{point.osm_id:012d}", point.lon, point.lat, point.tags
    extent = data.extent
    for area in data.areas:
        lon, lat = (float(each) for each in area.ring[:-1].mean(axis=0))
        if extent.west <= lon <= extent.east and extent.south <= lat <= extent.north:
            yield area.osm_id, lon, lat, area.tags


def _robot_graph(network: Network) -> sp.csr_array:
    usable = network.for_robots()
    lengths = np.array([edge.length_m for edge in network.edges])[usable]
    a, b = network.ends[usable].T
    size = len(network.nodes)
    return sp.csr_array((np.maximum(lengths, 0.01), (a, b)), shape=(size, size))


def _there_and_back_s(hub: _Array, places: _Array, terrain: Terrain) -> _Array:
    """Seconds under way in a straight line, changing height as little as the band over the terrain allows."""
    if not len(places):
        return np.empty(0)
    count = int(DRONE_FAR_M / _SAMPLE_M) + 1
    share = np.linspace(0.0, 1.0, count)
    along = hub + (places - hub)[:, None, :] * share[None, :, None]
    ground = terrain.height_m(along[..., 0], along[..., 1])
    level_s = np.hypot(*(places - hub).T) / (count - 1) / CRUISE_MPS
    total_s = np.zeros(len(places))
    for profile in (ground, ground[:, ::-1]):
        altitude = profile[:, 0] + BAND_M[0]
        for i in range(1, count):
            new = np.clip(altitude, profile[:, i] + BAND_M[0], profile[:, i] + BAND_M[1])
            rise = new - altitude
            total_s += np.maximum(level_s, np.where(rise > 0, rise / CLIMB_MPS, -rise / DESCENT_MPS))
            altitude = new
    return total_s
