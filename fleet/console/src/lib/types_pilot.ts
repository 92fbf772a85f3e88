/** What the service sends of control, duty, manned aircraft, rules and checks. Times are ISO 8601 UTC in domain time. */

/** Who commands a vehicle; `epoch` grows with every change of hands. */
export interface ControlRow {
  vehicle_id: string;
  pilot: string | null;
  display_name?: string | null;
  epoch: number;
  since: string;
  offered_to: string | null;
  /** Its pilot has given no sign of life for too long, or has gone off duty. */
  silent?: boolean;
}

export type ControlMove = 'take' | 'offer' | 'accept' | 'decline' | 'release';

/** A pilot at work. */
export interface DutyRow {
  user_id: string;
  display_name: string;
  since: string;
  silent?: boolean;
}

export interface AircraftReport {
  name?: string;
  lat: number;
  lon: number;
  alt_amsl_m: number | null;
  track_deg: number | null;
  speed_mps: number | null;
  radius_m: number;
  valid_s: number;
}

/** A manned aircraft that was seen; what is not known is null. It is somewhere within `radius_m`. */
export interface MannedAircraft {
  ident: string;
  name: string;
  source: string;
  lat: number;
  lon: number;
  alt_amsl_m: number | null;
  radius_m?: number;
  track_deg: number | null;
  speed_mps: number | null;
  observed_at: string;
  expires_at?: string;
}

/** asking: a pilot may do otherwise until `acts_at`; left: to the person who has decided otherwise. */
export type RuleState = 'asking' | 'acting' | 'done' | 'failed' | 'left' | 'noted';

/** One occurrence for which there is a rule: what was seen, and what was done. */
export interface DoneByRule {
  contingency_id: string;
  rule: string;
  vehicle_id: string | null;
  order_id: string | null;
  urgency: 'urgent' | 'high' | 'medium';
  state: RuleState;
  seen_ja: string;
  seen_en: string;
  noticed_at: string;
  acts_at: string | null;
  /** What the rule did or will do. */
  response: string | null;
  response_ja?: string | null;
  response_en?: string | null;
  outcome: string | null;
  acted_at: string | null;
  ended_at: string | null;
}

/** A check of the ground crew before a launch. old: it has to be looked at again. */
export interface GroundCheck {
  check: string;
  ja: string;
  en: string;
  state: 'done' | 'missing' | 'failed' | 'old';
  ok: boolean | null;
  note: string | null;
  checked_by: string | null;
  checked_at: string | null;
  until: string | null;
}

type LatLonAlt = { lat: number; lon: number; alt_amsl_m: number };

/** Where a drone may be on its mission, and where it may come down in an emergency. */
export interface MissionFence {
  fence: { inclusions: LatLonAlt[][]; exclusions: LatLonAlt[][] } | null;
  rally: LatLonAlt[];
}
