"""One simulated robot: orders and actions in, time passing. Knows no network and no clock."""

from __future__ import annotations

import math
from collections import deque

from hardware.profiles import load_profile
from simulators.robot_actions import ActionEngine, Status, Tracked, duration_s
from simulators.robot_cargo import Cargo
from simulators.robot_config import RobotConfig
from simulators.robot_errors import ErrorList, RobotError
from simulators.robot_faults import Faults, Trouble
from simulators.robot_messages import Action, Edge, InstantActions, Node, Order, Rejection, read_message
from simulators.robot_motion import TURN_RATE, Battery, Drive, Localisation, Target
from simulators.robot_orders import OrderBook, Verdict
from simulators.vehicle_log import VehicleLog

REMEMBERED_ACTION_IDS = 1_000
"""Instant actions known by id, so that a message that comes twice acts once; the oldest are forgotten."""
SWAP_AFTER_S = 5.0
_BASE_AHEAD_S = 10.0
"""How long before it would have to brake it asks for more base, at cruise speed."""


class Robot:
    """A robot that carries out VDA 5050 2.1 orders.

    ``receive`` takes a message and ``step`` lets time pass, given from outside in ms since the Unix epoch;
    the same calls in the same sequence have the same effect. ``changed`` says that something happened
    which the next state message must not wait to tell; ``factsheet_due`` that the factsheet was asked for.
    """

    def __init__(self, config: RobotConfig, *, seed: int, now_ms: int, log: VehicleLog) -> None:
        self.config = config
        self.profile = load_profile(config.type_id)
        self.now_ms = now_ms
        self.mode = "AUTOMATIC"
        self.paused = False
        self.e_stop = "NONE"
        self.faults = Faults.of(config.faults)
        self.drive = Drive(self.profile, x=config.x, y=config.y, theta=config.theta)
        self.battery = Battery.at(self.profile, config.battery_pct)
        self.book = OrderBook(self.profile, config.map_id, config.node_id)
        self.actions = ActionEngine(self._action_changed, self._action_failure)
        self._log = log
        self.localisation = Localisation(f"{seed}/{config.vehicle_id}")
        self.cargo = Cargo(self.profile, unseen_kg=config.load_kg)
        self.errors = ErrorList()
        self._seen_actions: deque[str] = deque(maxlen=REMEMBERED_ACTION_IDS)
        self._pausing: list[Tracked] = []
        self._cancelling: list[Tracked] = []
        self._entered_edge: int | None = None
        self._idle_s = 0.0
        self._was_driving = False
        self._base_low = False
        self.changed = True
        self.factsheet_due = False
        self.log("boot", type_id=config.type_id, x=config.x, y=config.y, theta=config.theta)

    def log(self, event: str, **fields: object) -> None:
        """Write to the vehicle's own log at its own time."""
        self._log.write(event, self.now_ms, **fields)

    # -- messages in ----------------------------------------------------------------------------------

    def receive(self, topic: str, payload: bytes) -> None:
        """Take a message on ``order`` or ``instantActions``; a bad one becomes an error in the state."""
        kinds: dict[str, type[Order] | type[InstantActions]] = {
            "order": Order,
            "instantActions": InstantActions,
        }
        kind = kinds.get(topic)
        if kind is None:
            return
        make = self.config
        try:
            message = read_message(kind, payload, topic=topic, manufacturer=make.manufacturer, serial=make.serial)
            if isinstance(message, Order):
                self._receive_order(message)
            else:
                for action in message.actions:
                    self._instant_action(action)
        except Rejection as error:
            references = dict(error.references)
            self.report_error(
                RobotError(
                    error.error_type,
                    error.description,
                    references=error.references,
                    until_update=references.get("orderId") == self.book.order_id,
                )
            )
            self.log(
                "order_rejected" if topic == "order" else "instant_actions_rejected",
                error_type=error.error_type,
                description=error.description,
                references=references,
            )

    def _receive_order(self, order: Order) -> None:
        if self.mode not in ("AUTOMATIC", "SEMIAUTOMATIC"):
            references = (("topic", "order"), ("orderId", order.order_id))
            raise Rejection("orderError", f"the robot is in mode {self.mode}", references)
        x, y, _ = self.localisation.pose(self.drive)
        known = self._taken_action_ids(new=order.order_id != self.book.order_id)
        if self._cancelling and order.order_id != self.book.order_id:
            references = (("topic", "order"), ("orderId", order.order_id))
            raise Rejection("orderError", "the previous order is still being cancelled", references)
        done = self.actions.order_done
        verdict = self.book.take(order, x=x, y=y, actions_done=done, known=known)
        self.changed = True
        ids = {"order_id": order.order_id, "order_update_id": order.order_update_id}
        if verdict is Verdict.IGNORED:
            self.log("order_ignored", **ids)
            return
        if verdict is Verdict.NEW:
            self.actions.reset()
            self._entered_edge = None
        else:
            self.actions.drop_sequence_after(order.nodes[0].sequence_id)
        first = 0 if verdict is Verdict.NEW else 1
        self.actions.add(self._track(order.nodes[first:], order.edges))
        self.errors.order_accepted(update=verdict is Verdict.UPDATE)
        self._replan()
        self.log(
            "order_accepted",
            **ids,
            nodes=[node.node_id for node in order.nodes],
            released=sum(node.released for node in order.nodes),
        )

    def _taken_action_ids(self, *, new: bool) -> set[str]:
        """Return the ids of actions that stay in the state when an order or an update is accepted."""
        if new:
            return {item.action.action_id for item in self.actions.all if item.scope == "INSTANT"}
        # Those of the horizon do not stay: an update usually sends them again as base.
        _, decision = self.book.decision_point()
        return {
            item.action.action_id
            for item in self.actions.all
            if item.sequence_id is None or item.sequence_id <= decision
        }

    def _track(self, nodes: list[Node], edges: list[Edge]) -> list[Tracked]:
        parts: list[tuple[str, Node | Edge]] = [("NODE", node) for node in nodes]
        parts += [("EDGE", edge) for edge in edges]
        parts.sort(key=lambda part: part[1].sequence_id)
        wait_s = self.config.trigger_after_s
        return [
            Tracked(
                action,
                scope,
                part.sequence_id,
                remaining_s=duration_s(action, self.profile, trigger_after_s=wait_s),
            )
            for scope, part in parts
            for action in part.actions
        ]

    def _instant_action(self, action: Action) -> None:
        self.changed = True
        known = any(item.action.action_id == action.action_id for item in self.actions.all)
        if known or action.action_id in self._seen_actions:
            self.log("instant_action_ignored", action_id=action.action_id, action_type=action.action_type)
            return
        self._seen_actions.append(action.action_id)
        item = Tracked(action, "INSTANT", None)
        self.actions.add([item])
        handlers = {
            "startPause": self._start_pause,
            "stopPause": self._stop_pause,
            "cancelOrder": self._cancel_order,
            "stateRequest": lambda each: self.actions.finish(each, "state sent"),
            "factsheetRequest": self._send_factsheet,
            "unlockCompartment": self._unlock,
            "emergencyStop": self._emergency_stop,
        }
        handler = handlers.get(action.action_type)
        if handler is None:
            text = f"instant action {action.action_type!r} is not supported"
            self.report_error(RobotError("instantActionError", text, references=(("actionId", action.action_id),)))
            self.actions.fail(item, text)
            return
        handler(item)

    def _send_factsheet(self, item: Tracked) -> None:
        self.factsheet_due = True
        self.actions.finish(item, "factsheet sent")

    def _unlock(self, item: Tracked) -> None:
        if self.actions.press_button(item.action.parameter("actionId")):
            self.actions.finish(item, "unlocked")
            self.log("unlocked", action_id=item.action.parameter("actionId"))
        else:
            self.actions.fail(item, "nothing waits to be unlocked")

    def _emergency_stop(self, item: Tracked) -> None:
        self.drive.speed_mps = self.drive.omega = 0.0
        self.e_stop = "REMOTE"
        self.actions.finish(item, "the drives are off")
        self.log("emergency_stop", x=self.drive.x, y=self.drive.y)

    def _start_pause(self, item: Tracked) -> None:
        self.actions.pause()
        self._pausing.append(item)
        self.actions.run(item)
        self._settle()

    def _stop_pause(self, item: Tracked) -> None:
        for pausing in self._pausing:
            self.actions.fail(pausing, "overridden by stopPause")
        self._pausing.clear()
        self.actions.resume()
        if self.paused:
            self.paused = False
            self.log("resumed")
        self.actions.finish(item, "not paused")

    def _cancel_order(self, item: Tracked) -> None:
        if not self._cancelling and not self._has_order():
            references = (("actionId", item.action.action_id),)
            self.report_error(RobotError("noOrderToCancel", "there is no order", references=references))
            self.actions.fail(item, "there is no order to cancel")
            return
        self._cancelling.append(item)
        self.actions.cancel()
        self.actions.run(item)
        self._settle()

    def _has_order(self) -> bool:
        return bool(self.book.nodes) or not self.actions.order_done

    def _settle(self) -> None:
        """Finish a pause or a cancellation once the robot stands still."""
        if not self.drive.standing:
            return
        if self._pausing:
            if not self.paused:
                self.paused = True
                self.log("paused")
            for item in self._pausing:
                self.actions.finish(item, "paused")
            self._pausing.clear()
        if self._cancelling:
            self._delete_order()
            for item in self._cancelling:
                self.actions.finish(item, "the order was deleted")
            self._cancelling.clear()

    def _delete_order(self) -> None:
        self.book.delete()
        self.drive.clear()
        self._entered_edge = None
        self.changed = True
        self.log("cancelled", order_id=self.book.order_id, x=self.drive.x, y=self.drive.y)

    # -- from people and faults -----------------------------------------------------------------------

    def set_operating_mode(self, mode: str) -> None:
        """Switch the operating mode; entering or leaving MANUAL deletes the order (table 1)."""
        if mode not in ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL", "SERVICE", "TEACHIN"):
            raise ValueError(f"{mode!r} is no operating mode")
        if mode != self.mode and "MANUAL" in (mode, self.mode) and self._has_order():
            self.drive.speed_mps = self.drive.omega = 0.0
            self.actions.cancel()
            self._delete_order()
        self.mode = mode
        self.changed = True
        self.log("mode", mode=mode)

    def release_emergency_stop(self) -> None:
        """Put the drives on again, as a person at the robot does."""
        self.e_stop, self.changed = "NONE", True

    @property
    def seems_to_drive(self) -> bool:
        """Whether it says that it drives: a robot that is stuck does not know."""
        return not self.drive.standing or (Trouble.STUCK in self.faults.active and self._wants_to_drive())

    def _wants_to_drive(self) -> bool:
        return not self._held() and not self.errors.fatal and self.e_stop == "NONE" and self.drive.remaining_m() > 0.0

    def _suffer(self, dt_s: float) -> bool:
        """Let happen what happens on the way; returns whether the robot can move."""
        drive, before = self.drive, self.faults.active
        at = (drive.x, drive.y)
        active, begun = self.faults.step(dt_s, node=self.book.last_node_id, at=at)
        for trouble in sorted(begun):
            self.log("fault", kind=trouble.value, x=round(drive.x, 3), y=round(drive.y, 3))
            if trouble is Trouble.TIPPED:
                self.report_error(RobotError("tipped", "it lies on its side", level="FATAL"))
        if active != before or begun:
            self.changed = True
        if before - active >= {Trouble.TIPPED}:
            self.clear_error("tipped")
        if active:
            drive.speed_mps = drive.omega = 0.0
        return not active

    def report_error(self, error: RobotError) -> None:
        """Show an error in the state; a FATAL one stops the robot until ``clear_error``."""
        self.changed = True
        if self.errors.add(error) and error.level == "FATAL":
            self.log("fatal", error_type=error.kind, description=error.description)

    def clear_error(self, kind: str) -> None:
        """Take an error out of the state."""
        self.errors.clear(kind)
        self.changed = True

    # -- time -----------------------------------------------------------------------------------------

    def step(self, now_ms: int, dt_s: float) -> None:
        """Let ``dt_s`` seconds pass, up to ``now_ms``."""
        self.now_ms = now_ms
        moves = self._suffer(dt_s)
        able = not self.errors.fatal and self.e_stop == "NONE"
        if able:
            self.actions.step(dt_s, standing=self.drive.standing)
        go = able and not self._held()
        if go:
            self._enter_edge()
            go = not self.actions.forbids_driving
        for _ in range(self.drive.step(dt_s, go=go) if moves else 0):
            self._traverse()
        self._settle()
        self._keep_battery(dt_s)
        driving = not self.drive.standing
        if driving != self._was_driving:
            self._was_driving, self.changed = driving, True
        if driving and self.near_end_of_base() != self._base_low:
            self._base_low, self.changed = not self._base_low, True
        self._idle_s = 0.0 if driving or self._has_order() else self._idle_s + dt_s

    def _held(self) -> bool:
        return (
            self.paused
            or bool(self._pausing or self._cancelling)
            or self.actions.forbids_driving
            or self.mode not in ("AUTOMATIC", "SEMIAUTOMATIC")
        )

    def _enter_edge(self) -> None:
        """Trigger the actions of the next edge when the robot is about to drive on it (section 6.10.2)."""
        edges, nodes = self.book.edges, self.book.nodes
        if not edges or len(edges) != len(nodes) or not edges[0].released:
            return
        if self._entered_edge != edges[0].sequence_id:
            self._entered_edge = edges[0].sequence_id
            self.actions.trigger("EDGE", edges[0].sequence_id)
            self.actions.step(0.0, standing=self.drive.standing)

    def _traverse(self) -> None:
        node, edge = self.book.traverse()
        self.changed = True
        self.log(
            "node_reached",
            order_id=self.book.order_id,
            node_id=node.node_id,
            sequence_id=node.sequence_id,
            x=round(self.drive.x, 3),
            y=round(self.drive.y, 3),
        )
        if edge is not None:
            self.actions.leave_edge(edge.sequence_id)
        self.actions.trigger("NODE", node.sequence_id)
        self.actions.step(0.0, standing=self.drive.standing)

    def _replan(self) -> None:
        """Give the drive the whole of the base from here."""
        nodes, edges = self.book.released_nodes(), list(self.book.edges)
        targets: list[Target] = []
        offset = len(self.book.edges) - len(self.book.nodes)
        for index, node in enumerate(nodes):
            arriving = edges[index + offset] if index + offset >= 0 else None
            leaving = edges[index + offset + 1] if index + offset + 1 < len(edges) else None
            targets.append(self._target(node, arriving, leaving))
        self.drive.plan(targets)
        self._base_low = self.near_end_of_base()

    def _target(self, node: Node, arriving: Edge | None, leaving: Edge | None) -> Target:
        position = node.node_position
        if position is None:
            raise AssertionError("an accepted order has positions")
        blocking = [*node.actions, *(leaving.actions if leaving and leaving.released else ())]
        stop = any(action.blocking_type != "NONE" for action in blocking)
        cruise = self.profile.cruise_speed_mps
        first = arriving is None
        return Target(
            # The first node of an order counts as reached from within its deviation (section 6.6.1).
            x=self.drive.x if first else position.x,
            y=self.drive.y if first else position.y,
            max_speed_mps=min(cruise, arriving.max_speed or cruise) if arriving else cruise,
            stop=stop,
            turn_rate=min(TURN_RATE, arriving.max_rotation_speed or TURN_RATE) if arriving else TURN_RATE,
            turn_first=arriving is not None and arriving.rotation_allowed is False,
            theta=position.theta,
            theta_tolerance=max(0.05, position.allowed_deviation_theta or 0.0),
        )

    def near_end_of_base(self) -> bool:
        """Whether it will soon have to brake unless its base grows (section 6.10.3)."""
        if not self.book.has_horizon:
            return False
        margin_m = self.drive.braking_m + self.profile.cruise_speed_mps * _BASE_AHEAD_S
        return self.drive.remaining_m() <= margin_m

    def _keep_battery(self, dt_s: float) -> None:
        drive, config = self.drive, self.config
        was_empty = self.battery.charge_wh == 0.0
        self.battery.drain(dt_s, drive.speed_mps, self.cargo.mass_kg)
        if self.battery.charge_wh == 0.0 and not was_empty:
            self.report_error(RobotError("batteryEmpty", "the battery is empty", level="FATAL"))
        if self._idle_s < SWAP_AFTER_S or math.hypot(drive.x - config.x, drive.y - config.y) > 1.0:
            return
        if self.battery.percent < 99.0:
            self.log("battery_swapped", from_pct=round(self.battery.percent, 2))
            self.clear_error("batteryEmpty")
        self.battery.charge_wh = self.profile.battery_wh

    def _action_changed(self, item: Tracked) -> None:
        self.changed = True
        ids = {"action_id": item.action.action_id, "action_type": item.action.action_type}
        if item.status is Status.RUNNING:
            self.log("action_started", **ids, sequence_id=item.sequence_id)
        if not item.done:
            return
        self.log("action_finished", **ids, status=item.status.value, result=item.result)
        if item.scope == "NODE" and item.status is Status.FINISHED:
            self._load_changed(item.action)

    def _action_failure(self, item: Tracked) -> str | None:
        why = self.cargo.refusal(item.action) if item.action.action_type == "pick" else None
        if why is not None:
            references = (("actionId", item.action.action_id),)
            self.report_error(RobotError("pickError", why, references=references))
        return why

    def _load_changed(self, action: Action) -> None:
        if action.action_type == "pick":
            self.cargo.pick(action)
        if action.action_type == "drop":
            self.cargo.drop(action)
            self.log(
                "released",
                order_id=self.book.order_id,
                action_id=action.action_id,
                x=round(self.drive.x, 3),
                y=round(self.drive.y, 3),
                node_id=self.book.last_node_id,
                parameters={each.key: each.value for each in action.action_parameters or ()},
            )
