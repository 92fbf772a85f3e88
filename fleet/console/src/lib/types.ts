/** What the service's API sends. Times are ISO 8601 UTC in domain time; units are in the names. */

export type Role = 'viewer' | 'ground_crew' | 'dispatcher' | 'pilot' | 'administrator';
export type VehicleKind = 'drone' | 'robot';
export type Activity =
  | 'unknown' | 'idle' | 'takeoff' | 'mission' | 'hold' | 'return' | 'land' | 'manual' | 'fault';
export type OrderState =
  | 'received' | 'planned' | 'loaded' | 'underway' | 'unconfirmed' | 'delivered' | 'failed' | 'cancelled';
export type MissionState =
  | 'planned' | 'loaded' | 'accepted' | 'starting' | 'underway' | 'held' | 'returning'
  | 'completed' | 'aborted' | 'failed' | 'cancelled';
/** What has become of a delivery that nobody saw. */
export type Outcome = 'delivered' | 'found' | 'lost';
export type PlanState = 'queued' | 'running' | 'proposed' | 'approved' | 'rejected' | 'failed';
export type CommandKind =
  | 'hold' | 'emergency_stop' | 'cross' | 'clear'
  | 'resume' | 'return' | 'land' | 'divert' | 'speed' | 'altitude' | 'release' | 'skip' | 'unlock' | 'abort';
export type CommandParams = Readonly<Record<string, string | number>>;
/** For what decision of a person a vehicle stands still by itself. */
export type WaitFor = 'drop_clear' | 'unlock' | 'crossing' | 'resume';
export type CommandState = 'proposed' | 'pending' | 'sent' | 'done' | 'failed' | 'expired';
export type HolderKind = 'shelf' | 'vehicle' | 'recipient';
export type Evidence = 'sensor' | 'inferred' | 'person';
export type Urgency = 'urgent' | 'high' | 'medium';
export type AlarmState = 'unacknowledged' | 'acknowledged' | 'returned' | 'shelved';

export interface User {
  user_id: string;
  display_name: string;
  role: Role;
}

export interface SignedIn {
  user: User;
  csrf_token: string;
}

export interface Me extends SignedIn {
  clock: { now: string; speed: number; simulated: boolean };
  region_id: string;
  version: string;
}

export interface Site {
  site_id: string;
  kind: string;
  name_ja: string;
  name_en: string;
  lat: number;
  lon: number;
  alt_amsl_m: number;
  accepts_drone: boolean;
  accepts_robot: boolean;
  /** Where drones stand and land. */
  pads?: [number, number, number][];
}

export type AltitudeReference = 'agl' | 'amsl' | 'ellipsoid';
export type Restriction = 'prohibited' | 'authorisation' | 'conditional' | 'none';

/** When a zone applies: weekdays (0 is Monday, none: every day) and minutes of the day, both in UTC. */
export interface Period {
  begins: string | null;
  ends: string | null;
  weekdays: number[];
  from_minute: number;
  to_minute: number;
}

export interface Zone {
  zone_id: string;
  kind: string;
  name_ja: string;
  name_en: string;
  ring: [number, number][];
  floor_m: number | null;
  floor_reference: AltitudeReference;
  ceiling_m: number | null;
  ceiling_reference: AltitudeReference;
  restriction: Restriction;
  /** What a vehicle must meet to be let in, of a conditional zone. */
  conditions: string[];
  margin_m: number;
  schedule: Period[];
}

/** A section of a drone lane: the line of its centre, latitude, longitude and height (AMSL). */
export interface Lane {
  section_id: string;
  line: [number, number, number][];
  width_m: number;
  one_way: boolean;
  capacity: number;
}

/** Something tall: the tops of pylons of a line, or of one mast. */
export interface Obstacle {
  obstacle_id: string;
  kind: string;
  name_en: string;
  name_ja?: string;
  line: number[][];
}

/** Something to draw and nothing else. */
export interface LandFeature {
  kind: string;
  name?: string;
  coords: number[][];
  closed: boolean;
}

export interface Bounds {
  south: number;
  west: number;
  north: number;
  east: number;
}

export interface Region {
  region_id: string;
  name_ja: string;
  name_en: string;
  bounds: Bounds;
  sites: Site[];
  zones: Zone[];
  lanes: Lane[];
  /** Where robots may drive, and what else there is. */
  ways: [number, number][][];
  other_ways?: [number, number][][];
  obstacles?: Obstacle[];
  features?: LandFeature[];
  hillshade?: { url: string; bounds: Bounds } | null;
}

/** What calls for a person's answer, as its gateway knows it; `since` is domain time. */
export interface Alarm {
  code: string;
  /** Tells alarms of one code and source apart: the other vehicle, the zone. */
  key: string;
  urgency: Urgency;
  state: AlarmState;
  text_ja: string;
  text_en: string;
  since: string | null;
  /** Null until it is stored. */
  alarm_id: string | null;
  shelved_until: string | null;
}

/** An alarm as it is stored, or a change of one. */
export interface AlarmRow {
  alarm_id: string;
  source_kind: 'vehicle' | 'process';
  source_id: string;
  code: string;
  key?: string;
  urgency: Urgency;
  state: AlarmState | 'normal';
  standing: boolean;
  text_ja: string;
  text_en: string;
  since: string;
  changed_at?: string;
  at?: string;
  acknowledged_by?: string | null;
  shelved_until?: string | null;
  shelf_reason?: string | null;
  shelve_max_min?: number;
}

/** A row of the table of alarms: what it means, and what answers it. */
export interface AlarmDefinition {
  code: string;
  title_ja: string;
  title_en: string;
  cause_ja: string;
  cause_en: string;
  meaning_ja: string;
  meaning_en: string;
  answers: { answer: string; ja: string; en: string }[];
  shelve_max_min: number;
}

/** One vehicle in a live snapshot; anything may be unknown. */
export interface VehicleLive {
  vehicle_id: string;
  t: string | null;
  connected: boolean;
  activity: Activity;
  mode: string;
  armed: boolean;
  on_ground: boolean;
  ready: boolean;
  lat: number | null;
  lon: number | null;
  alt_amsl_m: number | null;
  alt_home_m?: number | null;
  heading_deg: number | null;
  speed_mps: number | null;
  battery_pct: number | null;
  mission_id: string | null;
  mission_state: MissionState | null;
  step: number | null;
  steps: number | null;
  faults: string[];
  alarms?: Alarm[];
  /** Seconds that a drone which holds has energy to; then it returns by itself. */
  hold_left_s?: number | null;
  /** The decision of a person that it waits for. */
  waits?: Wait | null;
  /** A stop that was sent and that its state does not show yet, in words. */
  unconfirmed?: string | null;
}

/** `step` is the mission's step, `node` a robot's node; `until`: it goes on without the decision then, if it does. */
export interface Wait {
  what: WaitFor;
  step: number;
  since: string;
  node: string | null;
  until: string | null;
}

/** A gateway in a live snapshot. */
export interface ProcessLive {
  name: string;
  connected?: boolean;
  alarms?: Alarm[];
}

export interface Vehicle {
  vehicle_id: string;
  type_id: string;
  kind: VehicleKind;
  home_site: string;
  simulated: boolean;
  /** Its maker offers a channel for a real emergency stop. */
  emergency_stop?: boolean;
  live: VehicleLive | null;
}

/** Domain time, latitude, longitude, altitude AMSL, battery. */
export type TrackPoint = [string | number, number, number, number | null, number | null];

export interface Order {
  order_id: string;
  external_ref: string;
  state: OrderState;
  pickup_site: string;
  dropoff_site: string;
  recipient: string;
  goods: string;
  mass_kg: number;
  volume_l: number;
  earliest: string;
  latest: string;
  priority: number;
  reason: string | null;
  created_at: string;
  changed_at: string;
  mission_id: string | null;
  vehicle_id: string | null;
  /** Follows what is known of delays; `delay_s` is how much later than planned. */
  eta: string | null;
  delay_s?: number | null;
}

export interface Transition {
  at: string;
  from_state: string | null;
  to_state: string;
  cause: string;
}

export interface HandOver {
  at: string;
  holder_kind: HolderKind;
  holder_id: string;
  moved_by: string;
  mission_id: string | null;
  lat: number | null;
  lon: number | null;
  evidence: Evidence;
  detail: string;
}

export interface OrderDetail extends Order {
  events: Transition[];
  custody: HandOver[];
}

export interface Mission {
  mission_id: string;
  vehicle_id: string;
  run_id: string;
  ordinal: number;
  state: MissionState;
  planned_depart: string;
  planned_arrive: string;
  accepted_by: string | null;
  started_at: string | null;
  ended_at: string | null;
  step: number;
  steps: number;
  reason: string | null;
  orders: { order_id: string; state: OrderState; step: number; open: boolean }[];
  path: [number, number, number | null][];
  stops?: Stop[];
  /** How late it is or will be; nothing when it has ended. */
  delay_s?: number | null;
}

/** A planned stop of a mission; the last one is home. */
export interface Stop {
  to_site: string;
  order_ids: string[];
  arrive: string;
  leave: string;
}

export interface Leg {
  to_site: string;
  action: string;
  order_ids: string[];
  path: { lat: number; lon: number }[];
  depart: string;
  arrive: string;
  leave: string;
  distance_m: number;
  energy_wh: number;
}

export interface Plan {
  routes: { vehicle_id: string; home_site: string; trips: { trip_id: string; legs: Leg[] }[] }[];
  unserved: { order_id: string; reason: string }[];
  cost: number;
}

export interface PlanWeather {
  wind_from_deg: number;
  wind_mps: number;
  gust_mps: number;
  temperature_c: number | null;
  observed_at: string;
  reported_by: string;
}

export interface PlanRun {
  run_id: string;
  state: PlanState;
  requested_by: string;
  requested_at: string;
  /** In lists only while it waits for a decision; the run itself has it always. */
  plan: Plan | null;
  violations: unknown[] | null;
  /** The report that the plan goes by; null: none was young enough, and the air was taken for calm. */
  weather?: PlanWeather | null;
  error: string | null;
  decided_by: string | null;
  decided_at?: string | null;
}

export interface Command {
  command_id: string;
  vehicle_id: string;
  mission_id: string | null;
  kind: CommandKind;
  issuer: string;
  issued_at: string;
  state: CommandState;
  outcome: string | null;
  expires_at: string;
  params?: CommandParams;
  /** What the kind does. */
  description_ja?: string;
  description_en?: string;
  /** What it will do to this vehicle now: where to, how far, when there, the charge left. */
  preview_ja?: string | null;
  preview_en?: string | null;
}

export type Topic =
  | 'alarms' | 'orders' | 'missions' | 'plans' | 'commands' | 'vehicles' | 'control' | 'aircraft' | 'journal'
  | 'checks';

/** `full`: all vehicles and processes, else those that have changed since the message before. */
interface Snapshot {
  type: 'snapshot';
  t: string;
  full: boolean;
  vehicles: VehicleLive[];
  processes: ProcessLive[];
}

/** Changes of alarms in order, and where to go on from; `reset`: some were left out, the list has all. */
interface AlarmChanges {
  type: 'alarms';
  cursor: number;
  alarms: AlarmRow[];
  reset?: boolean;
}

export type LiveMessage = Snapshot | AlarmChanges | { type: 'changed'; what: Topic[] };
export type PastMessage = Snapshot | AlarmChanges | { type: 'end' };

/** What a person or a station says of the weather; null: not measured. */
export interface WeatherReport {
  wind_from_deg: number;
  wind_mps: number;
  gust_mps: number | null;
  temperature_c: number | null;
  rain_mm_h: number | null;
  visibility_m: number | null;
}

/** What launches are held against now, and how old it may be. */
export interface LaunchConditions {
  now: string;
  weather: (WeatherReport & { observed_at: string }) | null;
  weather_for_s: number;
  check: { checked_at: string; checked_by: string; source: string } | null;
  check_for_s: number;
  emergencies: { airspace_id: string; name: string; begins_at: string; ends_at: string | null }[];
  groundings: {
    grounding_id: string;
    scope_kind: 'vehicle' | 'type' | 'region';
    scope_id: string;
    reason: string;
    grounded_by: string;
  }[];
}
