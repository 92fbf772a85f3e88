"""How planning and checking grow from 10 to 2,000 orders: figures, and the plot of the README."""

from __future__ import annotations

import time
from pathlib import Path

from matplotlib.figure import Figure as Sheet

from routing.search import warm_up
from routing.solve import solve
from routing.validate import validate
from tests.benchmarks.figures import Figure
from tests.shared_data import ANDORRA_DEM, ANDORRA_OSM
from tests.town import town

ORDERS = (10, 30, 100, 300, 1_000, 2_000)
DRONES_PER_ORDER, ROBOTS_PER_ORDER = 0.06, 0.04
"""The fleet grows with the orders, as that of the town has 60 drones and 40 robots for 1,000."""

PLOT = Path("build") / "growth.png"


def measure() -> list[Figure]:
    """Plan days of the town with the least of search, so that the figures are the cost of all the rest."""
    if not (ANDORRA_OSM.is_file() and ANDORRA_DEM.is_file()):
        print("growth: the map of Andorra is not beside the working tree")
        return []
    warm_up()
    solve(town(ORDERS[0]), work=1)
    planned: list[float] = []
    checked: list[float] = []
    left_out: list[int] = []
    for count in ORDERS:
        drones, robots = (max(2, round(count * share)) for share in (DRONES_PER_ORDER, ROBOTS_PER_ORDER))
        problem = town(count, drones=drones, robots=robots)
        began = time.monotonic()
        plan = solve(problem, work=1)
        solved = time.monotonic()
        broken = validate(problem, plan)
        if broken:
            raise RuntimeError(f"{count} orders: {broken[0]}")
        planned.append(solved - began)
        checked.append(time.monotonic() - solved)
        left_out.append(len(plan.unserved))
    _draw(planned, checked)
    figures = []
    for count, plan_s, check_s, unserved in zip(ORDERS, planned, checked, left_out, strict=True):
        figures += [
            Figure(f"growth: first plan of {count:,} orders", plan_s, "s"),
            Figure(f"growth: check of {count:,} orders", check_s, "s"),
            Figure(f"growth: not served of {count:,} orders", float(unserved), "orders"),
        ]
    return figures


def _draw(planned: list[float], checked: list[float]) -> None:
    sheet = Sheet(figsize=(7.0, 4.2), layout="constrained")
    axes = sheet.subplots()
    axes.loglog(ORDERS, planned, "o-", label="first plan: ways, insertion, separation in time and space")
    axes.loglog(ORDERS, checked, "s-", label="validator: every rule again, independently")
    axes.loglog(ORDERS, [planned[2] * count / ORDERS[2] for count in ORDERS], ":", color="grey", label="in proportion")
    axes.set_xticks(ORDERS, [f"{count:,}" for count in ORDERS])
    axes.minorticks_off()
    axes.set_xlabel("orders (with 6 drones and 4 robots for every 100, on the map of Andorra)")
    axes.set_ylabel("seconds, 2 cores")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    PLOT.parent.mkdir(exist_ok=True)
    sheet.savefig(PLOT, dpi=120)
