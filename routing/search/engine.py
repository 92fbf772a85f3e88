"""Searches on all cores: what each thread does, when it stops, and how the searches share what they find."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from routing.search import dice
from routing.search.anneal import BEST, PROGRESS, STOP, anneal, construct, drop_vehicle, save
from routing.search.change import begin, load_routes
from routing.search.check import check_model
from routing.search.model import SearchModel, SearchResult, SearchRoute
from routing.search.recombine import Pool
from routing.search.refresh import solution_cost
from routing.search.starts import check_routes, decoded, encoded
from routing.search.world import Arrays, build

NEAR, AROUND = 40, 200
HOTTEST, COLDEST = 1.5, 0.003
"""Temperatures as parts of the usual cost of a request."""
DEFAULT_SECONDS = 10.0
_ROUNDS = 24
_POOL_FROM = 10
"""Rounds from which on the searches' routes are pooled: before, they are too hot to be good."""
_RECOMBINE_AFTER = (17, 20, 23)
_RECOMBINE_SHARE = 0.03
"""Part of the time for each recombination."""
_LEAST_SECONDS, _LEAST_ITERATIONS = 5.0, 5_000
"""Shorter searches do not recombine."""
_NEVER = 1 << 60
_TICK = 0.01
_FLEET_SHARE = 0.4
"""Part of the time for saving vehicles, where they cost more than the ways."""
_FLEET_HEAT = 0.1


@dataclass(slots=True)
class _Searcher:
    """One thread's solution and the best it has found."""

    arrays: Arrays
    best: Any
    plan: Any
    done: int = 0

    @property
    def cost(self) -> float:
        return float(self.plan[BEST])


@dataclass(slots=True)
class _Progress:
    """Better solutions by time."""

    began: float
    tell: Callable[[float, float], None] | None
    cost: float = math.inf
    steps: list[tuple[float, float]] = field(default_factory=list)

    def saw(self, cost: float) -> None:
        if cost < self.cost - 1e-7:
            self.cost = cost
            self.steps.append((time.monotonic() - self.began, cost))
            if self.tell:
                self.tell(*self.steps[-1])


def load(arrays: Arrays, routes: Any) -> None:
    """Make the (encoded) routes the solution; what does not hold is left absent."""
    clear(arrays)
    begin(arrays.world)
    load_routes(arrays.world, routes)


def clear(arrays: Arrays) -> None:
    """An empty solution."""
    requests = len(arrays["request"])
    arrays["node"]["trip"] = -1
    arrays["trip"]["veh"] = -1
    arrays["vehicle"]["active"] = 0
    arrays["kind"]["used"] = 0
    arrays["absent"][:requests] = np.arange(requests)
    arrays.record["actives"] = 0
    arrays.record["absents"] = requests


def _leg_cost(arrays: Arrays) -> float:
    """The usual cost of a request in the present solution, fleet apart: the scale of temperatures."""
    vehicles, kinds = arrays["vehicle"], arrays["kind"]
    used = vehicles[vehicles["active"] == 1]
    cost = float((used["cost"] - kinds["fixed_cost"][used["cls"]]).sum())
    return max(1e-9, cost / max(1, len(arrays["request"]) - int(arrays.record["absents"][0])))


def search(
    model: SearchModel,
    *,
    seconds: float | None = None,
    iterations: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    start: Sequence[SearchRoute] | None = None,
    on_better: Callable[[float, float], None] | None = None,
) -> SearchResult:
    """Good routes for ``model`` within ``seconds`` (10 unless told), or after ``iterations`` of each worker.

    Stops within 5 % of ``seconds``; with ``iterations``, the same result for the same seed and workers. ``workers``:
    all cores unless told. ``start``: routes to begin with. ``on_better(seconds, cost)`` hears of each better
    solution. Requests that fit nowhere are left out; no route breaks a limit. Raises ``BadInput`` (``check_model``).
    """
    began = time.monotonic()
    check_model(model)
    check_routes(model, start or ())
    progress = _Progress(began, on_better)
    limit = None if iterations is not None else DEFAULT_SECONDS if seconds is None else max(0.0, seconds)
    requests = len(model.dropoff)
    first = build(model, near=NEAR, around=AROUND)
    control = np.zeros(2)
    size = 3 * requests + 2 * len(first["vehicle"]) + 16
    workers = max(1, workers or os.cpu_count() or 1)
    searchers = []
    for number in range(workers):
        world = first if number == 0 else first.copy()
        dice.seed(world.record, seed * 1009 + number)
        searchers.append(_Searcher(world, np.zeros(size, dtype=np.int32), np.zeros(5)))
    if requests:
        run = _Run(model, searchers, control, limit, iterations, began, progress, seed)
        run.run(encoded(start or ()))
    best = min(searchers, key=lambda one: one.cost)
    return _result(model, best, progress, sum(one.done for one in searchers))


def _vehicles_first(arrays: Arrays) -> bool:
    """Whether one vehicle costs more than all the ways of all vehicles."""
    vehicles, kinds = arrays["vehicle"], arrays["kind"]
    used = vehicles[vehicles["active"] == 1]
    fixed = kinds["fixed_cost"]
    ways = float((used["cost"] - fixed[used["cls"]]).sum())
    return bool(fixed.min(initial=math.inf) > max(ways, 0.0)) and not int(arrays.record["absents"][0])


def _priced(arrays: Arrays, numbers: Any) -> list[tuple[SearchRoute, float]]:
    """The routes that ``save`` wrote of the present solution, each with its cost."""
    cars = arrays["active"][: int(arrays.record["actives"][0])]
    return list(zip(decoded(numbers), arrays["vehicle"]["cost"][cars].tolist(), strict=True))


@dataclass(slots=True)
class _Run:
    """One search on several threads."""

    model: SearchModel
    searchers: list[_Searcher]
    control: Any
    limit: float | None
    iterations: int | None
    began: float
    progress: _Progress
    seed: int
    pool: Pool = field(default_factory=Pool)

    def run(self, start: Any) -> None:
        """Construct, save vehicles where they are what costs, anneal; the best is with the searchers."""
        if self._recombines():
            import_module("ortools.sat.python.cp_model")  # now, while there is time: it takes some to load
        with ThreadPoolExecutor(len(self.searchers)) as threads:
            try:
                for one in self.searchers:
                    if start[0]:
                        load(one.arrays, start)
                self._each(threads, lambda one: construct(one.arrays.world, self.control, one.plan, one.best))
                scale = _leg_cost(self.searchers[0].arrays)
                since = 0.0
                if _vehicles_first(self.searchers[0].arrays):
                    since = _FLEET_SHARE
                    self._save_vehicles(threads, scale)
                for number in range(_ROUNDS):
                    if self._time_left() <= 0:
                        break
                    self._anneal(threads, scale, since, number)
                    if self._recombines() and number >= _POOL_FROM:
                        self._remember()
                    self._share()
                    if self._recombines() and number in _RECOMBINE_AFTER:
                        self._recombine()
            finally:
                self.control[STOP] = 1.0

    def _save_vehicles(self, threads: ThreadPoolExecutor, scale: float) -> None:
        """Take vehicle after vehicle away while the others can serve what it served."""
        budget = int((self.iterations or 0) * _FLEET_SHARE) if self.limit is None else _NEVER

        def work(one: _Searcher) -> None:
            left = budget
            while left > 0 and self.control[STOP] == 0.0 and int(one.arrays.record["actives"][0]) > 1:
                drop_vehicle(one.arrays.world)
                steps = int(anneal(one.arrays.world, self.control, one.plan, one.best, left, True))
                one.done += steps
                left -= max(1, steps)
            load(one.arrays, one.best)

        self._set(_FLEET_HEAT * scale, _FLEET_HEAT * scale, 0.0, 0.0)
        self._each(threads, work, self._moment(_FLEET_SHARE))
        self._share()
        for one in self.searchers:
            one.arrays.record["fleet"] = one.arrays.record["actives"]

    def _recombines(self) -> bool:
        if self.limit is None:
            return (self.iterations or 0) >= _LEAST_ITERATIONS
        return self.limit >= _LEAST_SECONDS

    def _remember(self) -> None:
        """Pool the routes of the present solutions and of the best."""
        for one in self.searchers:
            present = np.empty_like(one.best)
            save(one.arrays.world, present)
            self.pool.add(_priced(one.arrays, present))
            load(one.arrays, one.best)
            self.pool.add(_priced(one.arrays, one.best))
            load(one.arrays, present)

    def _recombine(self) -> None:
        """All searches go on from the best choice of known routes, if it is better than the best solution."""
        routes = self.pool.best(
            self.model,
            min(one.cost for one in self.searchers),
            seconds=None if self.limit is None else self.limit * _RECOMBINE_SHARE,
            seed=self.seed,
            workers=len(self.searchers),
        )
        if routes is None:
            return
        for one in self.searchers:
            load(one.arrays, encoded(routes))
            cost = float(solution_cost(one.arrays.world))
            if cost < one.cost - 1e-7:
                one.plan[BEST] = cost
                save(one.arrays.world, one.best)
            else:
                load(one.arrays, one.best)
        self.progress.saw(min(one.cost for one in self.searchers))

    def _set(self, hot: float, cold: float, since: float, until: float) -> None:
        self.control[STOP] = 0.0
        for one in self.searchers:
            one.plan[:4] = hot, cold, since, until

    def _moment(self, share: float) -> float:
        return math.inf if self.limit is None else self.began + self.limit * share

    def _time_left(self) -> float:
        return math.inf if self.limit is None else self.began + self.limit - time.monotonic()

    def _anneal(self, threads: ThreadPoolExecutor, scale: float, since: float, number: int) -> None:
        """One round of annealing, from the temperature that the last one ended with."""
        begin, end = number / _ROUNDS, (number + 1) / _ROUNDS
        steps = _NEVER
        if self.limit is None:
            work_left = int((self.iterations or 0) * (1 - since))
            steps = int(work_left * end) - int(work_left * begin)
            self._set(HOTTEST * scale, COLDEST * scale, begin, end)
        else:
            self._set(HOTTEST * scale, COLDEST * scale, 0.0, 0.0)

        def work(one: _Searcher) -> None:
            one.done += int(anneal(one.arrays.world, self.control, one.plan, one.best, steps, False))

        last = 1 - _RECOMBINE_SHARE if self._recombines() else 1.0
        self._each(threads, work, self._moment(since + (last - since) * end), since)

    def _each(
        self,
        threads: ThreadPoolExecutor,
        work: Callable[[_Searcher], None],
        until: float = math.inf,
        since: float = 0.0,
    ) -> None:
        """Do ``work`` with all searchers at once; tell them the progress, and to stop at ``until``."""
        running = [threads.submit(work, one) for one in self.searchers]
        while not all(one.done() for one in running):
            now = time.monotonic()
            if self.limit:
                self.control[PROGRESS] = min(1.0, max(0.0, ((now - self.began) / self.limit - since) / (1 - since)))
            if now >= until:
                self.control[STOP] = 1.0
            wait(running, timeout=max(0.0005, min(_TICK, until - now)))
            if all(one.plan[BEST] for one in self.searchers):
                self.progress.saw(min(one.cost for one in self.searchers))
        for one in running:
            one.result()
        self.progress.saw(min(one.cost for one in self.searchers))

    def _share(self) -> None:
        """The worse searches go on from the best solution."""
        best = min(self.searchers, key=lambda one: one.cost)
        for one in self.searchers:
            if one is not best and one.cost > best.cost + 1e-7:
                load(one.arrays, best.best)
                one.best[:] = best.best
                one.plan[BEST] = best.cost


def _result(model: SearchModel, best: _Searcher, progress: _Progress, done: int) -> SearchResult:
    arrays = best.arrays
    routes: tuple[SearchRoute, ...] = ()
    cost = 0.0
    if len(model.dropoff):
        load(arrays, best.best)
        cost = float(solution_cost(arrays.world))
        routes = decoded(best.best)
    left = tuple(sorted(arrays["absent"][: int(arrays.record["absents"][0])].tolist()))
    missed = sum(math.isinf(model.prize[r]) for r in left)
    return SearchResult(
        routes=routes,
        left_out=left,
        cost=math.inf if missed else cost,
        feasible=not missed,
        seconds=time.monotonic() - progress.began,
        iterations=done,
        progress=tuple(progress.steps),
    )
