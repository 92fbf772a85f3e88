/** What the service's API sends. Times are ISO 8601 UTC in domain time; units are in the names. */

export type Role = 'viewer' | 'ground_crew' | 'dispatcher' | 'pilot' | 'administrator';
export type VehicleKind = 'drone' | 'robot';
export type Activity =
  | 'unknown' | 'idle' | 'takeoff' | 'mission' | 'hold' | 'return' | 'land' | 'manual' | 'fault';
export type OrderState =
  | 'received' | 'planned' | 'loaded' | 'underway' | 'delivered' | 'failed' | 'cancelled';
export type MissionState =
  | 'planned' | 'loaded' | 'accepted' | 'starting' | 'underway' | 'held' | 'returning'
  | 'completed' | 'aborted' | 'failed' | 'cancelled';
export type PlanState = 'queued' | 'running' | 'proposed' | 'approved' | 'rejected' | 'failed';
export type CommandKind = 'hold' | 'resume' | 'return' | 'land';
export type CommandState = 'proposed' | 'pending' | 'sent' | 'done' | 'failed' | 'expired';
export type HolderKind = 'shelf' | 'vehicle' | 'recipient';
export type Evidence = 'sensor' | 'inferred' | 'person';
export type Urgency = 'urgent' | 'high' | 'medium';
export type AlarmCode =
  | 'silent' | 'battery' | 'holds_unasked' | 'returns_unasked' | 'lands_unasked' | 'manual' | 'fault'
  | 'mission_failed' | 'start_refused' | 'stuck';

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
}

export interface Zone {
  zone_id: string;
  name_ja: string;
  name_en: string;
  ring: [number, number][];
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
  /** Where robots may drive, and what else there is. */
  ways: [number, number][][];
  other_ways?: [number, number][][];
  obstacles?: Obstacle[];
  features?: LandFeature[];
  hillshade?: { url: string; bounds: Bounds } | null;
}

/** What calls for a person's answer; `since` is domain time. */
export interface Alarm {
  code: AlarmCode;
  urgency: Urgency;
  text_ja: string;
  text_en: string;
  since: string | null;
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
}

export interface Vehicle {
  vehicle_id: string;
  type_id: string;
  kind: VehicleKind;
  home_site: string;
  simulated: boolean;
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
  description_ja?: string;
  description_en?: string;
}

export type Topic = 'orders' | 'missions' | 'plans' | 'commands' | 'vehicles';

export type LiveMessage =
  | { type: 'snapshot'; t: string; vehicles: VehicleLive[] }
  | { type: 'changed'; what: Topic[] };
