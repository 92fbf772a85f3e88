/** What the console knows: who is signed in, the region, and the service's lists, kept fresh. */

import { Alarms } from './alarms.svelte';
import { Airspace, Journal } from './airspace.svelte';
import { ApiProblem, api, whenSignedOut } from './api';
import { Authority } from './authority.svelte';
import { clock } from './clock.svelte';
import { t } from './i18n.svelte';
import { Live } from './live.svelte';
import { inWords, notices } from './notices.svelte';
import { mayDo, type Action } from './permissions';
import { Past } from './past.svelte';
import { Presence } from './presence.svelte';
import { Refresher } from './refresher';
import { Trails, TRAIL_MS } from './trails';
import type {
  Command, Me, Mission, Order, PlanRun, ProcessLive, Region, Site, Topic, User, Vehicle, VehicleLive,
} from './types';

// Notifications can be lost with a connection; the lists are read again this often whatever happens.
// Arrivals follow delays, which grow without any notification.
const POLL_MS = 10_000;
const TRACK_POINTS = 200;
// What a person has just commanded is followed closely.
const COMMANDS_APART_MS = 200;
/** Tables whose changes are told by their own names. */
const TOPIC_OF: Readonly<Record<string, Topic>> = {
  vehicle_control: 'control', duty: 'control', pilot_duty: 'control', manned_aircraft: 'aircraft',
  contingency: 'journal', ground_check: 'checks',
};
/** Below this width one section is shown at a time. */
export const NARROW = '(max-width: 860px)';

export type Section = 'map' | 'vehicles' | 'orders' | 'missions' | 'plan' | 'timeline';

class ConsoleState {
  phase = $state<'loading' | 'signed-out' | 'unreachable' | 'signed-in'>('loading');
  /** Why the person is asked to sign in again, if there is a reason. */
  signInReason = $state<string | null>(null);
  /** Why the console cannot open although somebody may be signed in. */
  obstacle = $state('');
  user = $state.raw<User | null>(null);
  version = $state('');
  region = $state.raw<Region | null>(null);

  vehicles = $state.raw<Vehicle[]>([]);
  /** The latest live state by vehicle. */
  now = $state.raw<Readonly<Record<string, VehicleLive>>>({});
  /** A past period that is looked at instead; what comes live goes on behind it, and alarms are those of now. */
  past = $state.raw<Past | null>(null);
  /** Somebody chooses which period to look at. */
  choosingPast = $state(false);
  /** What is shown of each vehicle. */
  live = $derived(this.past ? this.past.live : this.now);
  orders = $state.raw<Order[] | null>(null);
  missions = $state.raw<Mission[] | null>(null);
  plans = $state.raw<PlanRun[] | null>(null);
  commands = $state.raw<Command[]>([]);
  /** Plans that were read one by one, by run: the list has only the one that waits for a decision. */
  plansRead = $state.raw<Readonly<Record<string, PlanRun>>>({});
  readonly #trailsNow = new Trails();
  readonly alarms = new Alarms(() => this.#refreshers.alarms.want());
  readonly authority = new Authority(() => this.user?.user_id, () => this.#refreshers.control.want());
  readonly airspace = new Airspace(() => this.#refreshers.aircraft.want());
  readonly journal = new Journal();
  /** Raised when the ground crew's checks of a mission may have changed. */
  checksRead = $state(0);
  /** Vehicles under way that this person controls: somebody has to watch them. */
  minding = $derived(
    this.vehicles.map(({ vehicle_id }) => vehicle_id).filter((id) => this.authority.isMine(id) && underWay(this.now[id])),
  );
  readonly presence = new Presence(() => mayDo(this.user?.role, 'duty') && this.authority.onDuty);

  section = $state<Section>('orders');
  selectedVehicle = $state<string | null>(null);
  openOrder = $state<string | null>(null);
  /** The mission that was picked on the timeline, for its card to show itself. */
  pickedMission = $state<string | null>(null);
  timelineOpen = $state(false);
  journalOpen = $state(false);
  /** The plan whose paths the map shows. */
  shownPlan = $state<string | null>(null);
  /** Raised to ask the map to go to the selected vehicle. */
  lookAt = $state(0);

  readonly connection = new Live({
    snapshot: (at, vehicles, processes) => this.#hearSnapshot(at, vehicles, processes),
    alarms: (rows, reset) => this.alarms.take(rows, reset),
    changed: (topics) => topics.forEach((topic) => this.#refreshers[TOPIC_OF[topic] ?? topic]?.want()),
    opened: () => this.refreshAll(),
    lost: () => void this.#checkSession(),
  });
  #pollTimer = 0;
  #refreshers: Record<Topic, Refresher> = {
    alarms: this.#refresher(async () => this.#readAlarms()),
    orders: this.#refresher(async () => void (this.orders = await api.orders())),
    missions: this.#refresher(async () => void (this.missions = await api.missions())),
    plans: this.#refresher(async () => void (this.plans = await api.plans())),
    commands: this.#refresher(async () => void (this.commands = await api.commands()), COMMANDS_APART_MS),
    vehicles: this.#refresher(async () => this.#takeVehicles(await api.vehicles())),
    control: this.#refresher(async () => this.authority.read()),
    aircraft: this.#refresher(async () => this.airspace.read()),
    journal: this.#refresher(async () => this.journal.read()),
    checks: this.#refresher(async () => void (this.checksRead += 1)),
  };

  sitesById = $derived(new Map<string, Site>(this.region?.sites.map((site) => [site.site_id, site])));
  ordersById = $derived(new Map<string, Order>(this.orders?.map((order) => [order.order_id, order])));
  missionsById = $derived(new Map<string, Mission>(this.missions?.map((m) => [m.mission_id, m])));
  commandsByVehicle = $derived(byVehicle(this.commands));

  constructor() {
    whenSignedOut(() => this.phase === 'signed-in' && this.#leave(t('sessionEnded')));
  }

  /** Whether a control is offered. Whoever looks at the past gives no commands: what they would see is over. */
  may(action: Action): boolean {
    return this.past === null && mayDo(this.user?.role, action);
  }

  /** Domain time of what is shown, in milliseconds of the epoch. */
  get shownMs(): number {
    return this.past ? this.past.atMs : clock.nowMs;
  }

  get trails(): Trails {
    return this.past ? this.past.trails : this.#trailsNow;
  }

  /** Vehicles with an alarm at the time that is shown. */
  alarmed = $derived(
    new Set(
      this.past
        ? Object.values(this.past.live).filter(({ alarms }) => alarms?.length).map(({ vehicle_id }) => vehicle_id)
        : this.alarms.standing.map((alarm) => alarm.source_id),
    ),
  );

  /** Missions at the time that is shown: of the past those that were being carried out. */
  missionsShown = $derived.by(() => {
    if (!this.past) return this.missions ?? [];
    const states = new Map(Object.values(this.past.live).map((live) => [live.mission_id, live.mission_state]));
    return (this.missions ?? []).flatMap((mission) => {
      const state = states.get(mission.mission_id);
      return state ? [{ ...mission, state }] : [];
    });
  });

  lookBack(fromMs: number, toMs: number, speed: number): void {
    this.past?.close();
    this.choosingPast = false;
    this.past = new Past(fromMs, toMs, speed);
  }

  backToNow(): void {
    this.past?.close();
    this.past = null;
    this.choosingPast = false;
  }

  /** Called once, and again when a one-time link is opened in the same tab. */
  async begin(): Promise<void> {
    const token = takeSignInToken();
    let refused: string | null = null;
    if (token) {
      try {
        await api.signInByLink(token);
      } catch (error) {
        const answered = error instanceof ApiProblem && error.status === 401;
        refused = answered ? t('linkRefused') : t('noAnswer');
      }
    }
    await this.enter(refused);
    if (refused && this.phase === 'signed-in') notices.error(refused);
  }

  /** Reads who is signed in and opens the console; without a session shows the sign-in form. */
  async enter(reason: string | null = null): Promise<void> {
    try {
      const [me, region] = await Promise.all([api.me(), api.region().catch(() => null)]);
      this.#arrive(me, region ?? (await api.region()));
    } catch (error) {
      const answered = error instanceof ApiProblem && error.status === 401;
      this.signInReason = reason;
      this.obstacle = inWords(error);
      this.phase = answered ? 'signed-out' : 'unreachable';
    }
  }

  async signOut(): Promise<void> {
    try {
      await api.signOut();
      this.#leave(null);
    } catch (error) {
      notices.error(t('signOut'), error);
    }
  }

  refreshAll(): void {
    Object.values(this.#refreshers).forEach((refresher) => refresher.want());
  }

  refresh(...topics: Topic[]): void {
    topics.forEach((topic) => this.#refreshers[topic].want());
  }

  /** An order's own number, as people know it. */
  refOf(orderId: string): string {
    return this.ordersById.get(orderId)?.external_ref ?? orderId;
  }

  select(vehicleId: string | null, options: { look?: boolean } = {}): void {
    this.selectedVehicle = vehicleId;
    if (vehicleId !== null && options.look) this.lookAt += 1;
  }

  /** Shows a vehicle's card with all its controls, wherever that is on this screen. */
  openVehicle(vehicleId: string): void {
    this.selectedVehicle = vehicleId;
    if (matchMedia(NARROW).matches) this.section = 'vehicles';
  }

  /** Shows where a vehicle is. */
  showOnMap(vehicleId: string): void {
    this.select(vehicleId, { look: true });
    if (matchMedia(NARROW).matches) this.section = 'map';
  }

  showTimeline(): void {
    this.timelineOpen = true;
    if (matchMedia(NARROW).matches) this.section = 'timeline';
  }

  openMission(mission: { mission_id: string; vehicle_id: string }): void {
    this.selectedVehicle = mission.vehicle_id;
    this.pickedMission = mission.mission_id;
    this.section = 'missions';
  }

  /** Reads a plan that the list does not bring; what was read once does not change any more. */
  async readPlan(runId: string): Promise<void> {
    if (this.plansRead[runId]) return;
    const run = await api.planRun(runId);
    this.plansRead = { ...this.plansRead, [runId]: run };
  }

  #arrive(me: Me, region: Region): void {
    this.user = me.user;
    this.version = me.version;
    this.region = region;
    clock.set(me.clock);
    this.section = me.user.role === 'ground_crew' ? 'missions' : 'orders';
    this.signInReason = null;
    this.phase = 'signed-in';
    Object.values(this.#refreshers).forEach((refresher) => refresher.start());
    window.clearInterval(this.#pollTimer);
    this.#pollTimer = window.setInterval(() => this.refreshAll(), POLL_MS);
    // Anew, should somebody else have signed in by a link in the same tab.
    this.connection.stop();
    this.connection.start();
  }

  #leave(reason: string | null): void {
    this.connection.stop();
    this.backToNow();
    window.clearInterval(this.#pollTimer);
    Object.values(this.#refreshers).forEach((refresher) => refresher.stop());
    this.#trailsNow.clear();
    [this.alarms, this.authority, this.airspace, this.journal].forEach((known) => known.clear());
    this.plansRead = {};
    this.user = null;
    this.vehicles = this.commands = [];
    this.now = {};
    this.orders = this.missions = this.plans = null;
    this.selectedVehicle = this.openOrder = this.shownPlan = this.pickedMission = null;
    this.signInReason = reason;
    this.phase = 'signed-out';
  }

  #hearSnapshot(at: string, vehicles: VehicleLive[], processes: ProcessLive[]): void {
    clock.hear(at);
    if (vehicles.length > 0) {
      const now = { ...this.now };
      for (const vehicle of vehicles) {
        now[vehicle.vehicle_id] = vehicle;
        this.#trailsNow.add(vehicle);
      }
      this.now = now;
    }
    this.alarms.hear(vehicles, processes);
    if (vehicles.some((v) => !this.vehicles.some((known) => known.vehicle_id === v.vehicle_id))) {
      this.#refreshers.vehicles.want(3000);
    }
  }

  async #readAlarms(): Promise<void> {
    if (Object.keys(this.alarms.table).length === 0) {
      this.alarms.table = Object.fromEntries((await api.alarmTable()).map((row) => [row.code, row]));
    }
    const askedMs = performance.now();
    this.alarms.replace(await api.alarms(), askedMs);
  }

  #takeVehicles(vehicles: Vehicle[]): void {
    const known = new Set(this.vehicles.map((v) => v.vehicle_id));
    const live = { ...this.now };
    for (const vehicle of vehicles) {
      if (vehicle.live && !live[vehicle.vehicle_id]) live[vehicle.vehicle_id] = vehicle.live;
      if (!known.has(vehicle.vehicle_id)) void this.#loadTrack(vehicle.vehicle_id);
    }
    this.now = live;
    this.vehicles = vehicles.toSorted(byVehicleId);
  }

  async #loadTrack(vehicleId: string): Promise<void> {
    const now = clock.nowMs;
    try {
      const track = await api.track(vehicleId, new Date(now - TRAIL_MS), new Date(now), TRACK_POINTS);
      this.#trailsNow.addTrack(vehicleId, track);
    } catch {
      // The trail then begins with what is seen from now on: a missing decoration is no reason for alarm.
    }
  }

  async #checkSession(): Promise<void> {
    try {
      clock.set((await api.me()).clock);
    } catch (error) {
      const over = error instanceof ApiProblem && error.status === 401;
      if (over && this.phase === 'signed-in') this.#leave(t('sessionEnded'));
    }
  }

  #refresher(fetchNow: () => Promise<void>, apartMs?: number): Refresher {
    const done = (error: unknown): void => {
      if (error === null) notices.settle('refresh');
      else if (this.phase === 'signed-in') notices.error(t('notRefreshed'), error, 'refresh');
    };
    return new Refresher(fetchNow, done, apartMs);
  }
}

const byVehicleId = (a: Vehicle, b: Vehicle): number =>
  a.vehicle_id.localeCompare(b.vehicle_id, 'en', { numeric: true });

const AT_REST: ReadonlySet<string> = new Set(['idle', 'unknown', 'fault']);
/** Whether a vehicle moves, or holds in the middle of its mission. */
const underWay = (live: VehicleLive | undefined): boolean => live !== undefined && !AT_REST.has(live.activity);

function byVehicle(commands: Command[]): Map<string, Command[]> {
  const groups = new Map<string, Command[]>();
  for (const command of commands) {
    groups.set(command.vehicle_id, [...(groups.get(command.vehicle_id) ?? []), command]);
  }
  return groups;
}

/** Takes the token of a one-time link out of the address, so that it is not kept or shared. */
function takeSignInToken(): string | null {
  const match = /^#sign-in=([^&]+)/.exec(location.hash);
  if (!match?.[1]) return null;
  history.replaceState(null, '', location.pathname + location.search);
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return match[1];
  }
}

export const app = new ConsoleState();
