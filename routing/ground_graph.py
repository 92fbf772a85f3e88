"""Quickest ways over a ground network: a graph of its junctions, and trees of shortest paths in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

from routing.driving import CROSSING_WAIT_S, ROBOT_STOP_BELOW_MPS, ROBOT_TURN_RADPS
from routing.ground_ways import Arcs, Bools, Floats, Ints, Limits


@dataclass(frozen=True, slots=True, eq=False)
class _Chains:
    """Ways between kept nodes: ``arcs[first[i]:first[i + 1]]`` are those of chain ``i``."""

    arcs: Ints
    first: Ints

    @property
    def lengths(self) -> Ints:
        return np.diff(self.first)

    def sums(self, values: Floats) -> Floats:
        """The sum over the arcs of each chain."""
        return np.add.reduceat(values[self.arcs], self.first[:-1]) if len(self.first) > 1 else np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Quickest ways from sources to the nodes of a graph, as Dijkstra (1959) finds them; rows are sources.

    ``seconds`` at the speeds of the edges with the waits at crossings, infinite where there is no way. ``before`` is
    the state before, -1 at the source and where there is no way; ``chain`` leads from there.
    """

    seconds: Floats
    before: Ints
    chain: Ints


class GroundGraph:
    """A network of junctions and kept nodes for one kind of robot.

    A node that a crossing ends at has two states, since going on over the next part of a crossing means no second
    wait: state ``node`` off and state ``n + node`` on a crossing, numbered without the gaps.
    """

    def __init__(self, arcs: Arcs, limits: Limits, nodes: int, keep: npt.ArrayLike) -> None:
        """``keep``: nodes by number that are sources or targets; where three ways meet is kept anyhow."""
        self.arcs, self._limits = arcs, limits
        kept = _junctions(arcs, nodes)
        kept[np.asarray(keep, dtype=np.int64)] = True
        self._chains = chains = _chains(arcs, kept)
        starts, ends = chains.arcs[chains.first[:-1]], chains.arcs[chains.first[1:] - 1]
        waits = self._waits(chains)
        self._starts_on, self._ends_on = arcs.crossing[starts], arcs.crossing[ends]
        self._measures = [chains.sums(each) for each in (arcs.length_m, arcs.climb_m, arcs.rolling_m)]
        self._first_arc, self._last_arc = starts, ends
        self._lost_s = self._lost_within(chains)
        self._number_states(arcs.tail[starts], arcs.head[ends], kept, nodes)
        self._link(arcs.tail[starts], arcs.head[ends], chains.sums(arcs.seconds), waits)

    def _waits(self, chains: _Chains) -> Floats:
        """How many crossings each chain has; parts that follow one another are one."""
        on = self.arcs.crossing[chains.arcs]
        begins = on.copy()
        begins[1:] &= ~on[:-1]
        begins[chains.first[:-1]] = on[chains.first[:-1]]
        return np.add.reduceat(begins.astype(float), chains.first[:-1]) if len(on) else np.zeros(0)

    def _lost_within(self, chains: _Chains) -> Floats:
        """What the corners within each chain cost."""
        lost = np.zeros(len(chains.arcs))
        lost[1:] = self._corner_s(chains.arcs[:-1], chains.arcs[1:])
        lost[chains.first[:-1]] = 0.0
        return np.add.reduceat(lost, chains.first[:-1]) if len(lost) else lost

    def _corner_s(self, before: Ints, after: Ints) -> Floats:
        """Seconds that the corner between two arcs costs: brake to its speed and speed up again, or stop and turn.

        From a speed ``v`` to ``u`` at an acceleration ``a``, ``(v - u)^2 / 2 a v`` is lost against going on at ``v``.
        """
        heading, speed = self.arcs.heading, self.arcs.speed_mps
        turn = np.abs(np.remainder(heading[after] - heading[before] + math.pi, 2.0 * math.pi) - math.pi)
        corner = np.minimum(speed[before], speed[after]) * np.maximum(np.cos(turn), 0.0)
        stops = corner < ROBOT_STOP_BELOW_MPS
        corner[stops] = 0.0
        twice = 2.0 * self._limits.acceleration_mps2
        slower_s = sum((speed[side] - corner) ** 2 / (twice * speed[side]) for side in (before, after))
        return np.asarray(slower_s + np.where(stops, turn / ROBOT_TURN_RADPS, 0.0))

    def _number_states(self, tail: Ints, head: Ints, kept: Bools, nodes: int) -> None:
        used = kept.copy()
        self._off = np.where(used, np.cumsum(used) - 1, -1)
        on = np.zeros(nodes, dtype=bool)
        on[head[self._ends_on]] = True
        count = int(used.sum())
        self._on = np.where(on, count + np.cumsum(on) - 1, -1)
        self._states = count + int(on.sum())

    def _link(self, tail: Ints, head: Ints, seconds: Floats, waits: Floats) -> None:
        chain = np.arange(len(tail))
        to = np.where(self._ends_on, self._on[head], self._off[head])
        again = self._on[tail] >= 0
        source = np.concatenate((self._off[tail], self._on[tail][again]))
        target = np.concatenate((to, to[again]))
        waited = np.concatenate((waits, (waits - self._starts_on)[again]))
        chains = np.concatenate((chain, chain[again]))
        cost = seconds[chains] + CROSSING_WAIT_S * waited
        order = np.lexsort((chains, self._measures[0][chains], cost, target, source))
        order = order[source[order] != target[order]]
        keys = source[order] * self._states + target[order]
        first = np.ones(len(keys), dtype=bool)
        first[1:] = np.diff(keys) != 0
        order = order[first]
        self._keys, self._chain_of, self._waited = keys[first], chains[order], waited[order]
        shape = (self._states, self._states)
        self._graph = sp.csr_array((cost[order], (source[order], target[order])), shape=shape)

    def trees(self, sources: Ints) -> Trees:
        """Quickest ways from kept nodes."""
        if not len(self._keys):
            seconds = np.full((len(sources), self._states), np.inf)
            seconds[np.arange(len(sources)), self._off[sources]] = 0.0
            none = np.full(seconds.shape, -1)
            return Trees(seconds, none, none)
        seconds, before = dijkstra(self._graph, indices=self._off[sources], return_predecessors=True)
        before = np.where(before < 0, -1, before).astype(np.int64)
        keys = before * self._states + np.arange(self._states)
        at = np.searchsorted(self._keys, np.maximum(keys, 0))
        return Trees(np.asarray(seconds), before, np.where(before < 0, -1, at))

    def states_of(self, trees: Trees, nodes: Ints) -> Ints:
        """The state in which each source's way to each node ends; shape ``(sources, nodes)``."""
        off = np.broadcast_to(self._off[nodes], (len(trees.seconds), len(nodes)))
        on = np.broadcast_to(np.where(self._on[nodes] >= 0, self._on[nodes], self._off[nodes]), off.shape)
        quicker = np.take_along_axis(trees.seconds, on, 1) < np.take_along_axis(trees.seconds, off, 1)
        return np.asarray(np.where(quicker, on, off))

    def along(self, trees: Trees) -> list[Floats]:
        """Along the way to each state: metres, metres climbed, metres weighted, crossings, seconds lost at corners."""
        if not len(self._keys):
            return [np.zeros(trees.chain.shape) for _ in range(5)]
        here = trees.chain.ravel() >= 0
        link = np.maximum(trees.chain.ravel(), 0)
        chain = self._chain_of[link]
        places = np.arange(len(here))
        jump = np.where(here, trees.before.ravel() + places // self._states * self._states, places)
        joint = here & here[jump]
        lost_s = self._lost_s[chain]
        lost_s[joint] += self._corner_s(self._last_arc[chain[jump[joint]]], self._first_arc[chain[joint]])
        values = [each[chain] for each in self._measures]
        values = [np.where(here, part, 0.0) for part in (*values, self._waited[link], lost_s)]
        # Sums along the trees in as many rounds as the logarithm of their depth: each value takes in that of where
        # its state points to, which then points twice as far.
        active = np.flatnonzero(joint)
        while len(active):
            before = jump[active]
            for value in values:
                value[active] += value[before]
            jump[active] = jump[before]
            active = active[here[jump[active]]]
        return [value.reshape(trees.chain.shape) for value in values]

    def arcs_to(self, trees: Trees, row: int, state: int) -> Ints:
        """The arcs of the way from a source to a state, in sequence."""
        parts: list[Ints] = []
        while trees.before[row, state] >= 0:
            chain = self._chain_of[trees.chain[row, state]]
            parts.append(self._chains.arcs[self._chains.first[chain] : self._chains.first[chain + 1]])
            state = int(trees.before[row, state])
        return np.concatenate(parts[::-1]) if parts else np.zeros(0, dtype=np.int64)


def _junctions(arcs: Arcs, nodes: int) -> Bools:
    """Nodes that have not just two neighbours."""
    low, high = np.minimum(arcs.tail, arcs.head), np.maximum(arcs.tail, arcs.head)
    pairs = np.unique(low * nodes + high)
    degree = np.bincount(np.concatenate((pairs // max(nodes, 1), pairs % max(nodes, 1))), minlength=nodes)
    return np.asarray((degree != 2) & (degree != 0))


def _chains(arcs: Arcs, kept: Bools) -> _Chains:
    """Follow each arc that leaves a kept node through nodes with two neighbours until the next kept node.

    A chain that meets a one-way against it leads nowhere and is left out.
    """
    first_out = np.searchsorted(arcs.tail, np.arange(len(kept) + 1)).tolist()
    heads, tails, stays = arcs.head.tolist(), arcs.tail.tolist(), kept.tolist()
    found: list[int] = []
    first = [0]
    for start in np.flatnonzero(kept[arcs.tail]).tolist():
        chain = [start]
        while not stays[heads[chain[-1]]]:
            node, came_from = heads[chain[-1]], tails[chain[-1]]
            onward = [arc for arc in range(first_out[node], first_out[node + 1]) if heads[arc] != came_from]
            if not onward:
                break
            chain.append(onward[0])
        else:
            found += chain
            first.append(len(found))
    return _Chains(np.array(found, dtype=np.int64), np.array(first, dtype=np.int64))
