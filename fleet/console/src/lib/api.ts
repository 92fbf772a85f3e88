/** Speaks to the service: every request has a time-out, every failure becomes an `ApiProblem`. */

import type {
  AlarmDefinition, AlarmRow, Command, CommandKind, CommandParams, LaunchConditions, Me, Mission, Order, OrderDetail,
  Outcome, PlanRun, Region, SignedIn, TrackPoint, Vehicle, WeatherReport,
} from './types';
import type { AircraftReport, ControlMove, ControlRow, DoneByRule, DutyRow, GroundCheck, MannedAircraft, MissionFence } from './types_pilot';

export const TIMEOUT_MS = 10_000;

export interface FieldError {
  where: string;
  reason: string;
}

/** Why a request failed: `kind` says whether an answer came at all, `status` is 0 when none did. */
export class ApiProblem extends Error {
  constructor(
    readonly kind: 'answer' | 'timeout' | 'network',
    readonly status: number,
    readonly detail: string,
    readonly fields: FieldError[] = [],
  ) {
    super(detail || `${kind} ${status}`);
    this.name = 'ApiProblem';
  }

  /** Whether asking again may help: no answer, or the service is starting, stopping or overloaded. */
  get passing(): boolean {
    return this.kind !== 'answer' || this.status >= 500;
  }

  /** The service has no such route: it is older than this console. */
  get absent(): boolean {
    return this.kind === 'answer' && (this.status === 404 || this.status === 405);
  }
}

/** What a request brings, or null when the service does not have it. */
export async function orAbsent<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ApiProblem && error.absent) return null;
    throw error;
  }
}

let csrfToken = '';
let onSignedOut: () => void = () => undefined;

/** Call this when a request is answered with 401. */
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

async function problemOf(response: Response): Promise<ApiProblem> {
  let body: unknown = null;
  try {
    body = await response.json();
  } catch {
    // A proxy's page, not a problem document: the status has to do.
  }
  if (!isRecord(body)) return new ApiProblem('answer', response.status, response.statusText);
  const text = [body.detail, body.title].find((part) => typeof part === 'string' && part !== '');
  const fields = Array.isArray(body.errors) ? body.errors.filter(isRecord) : [];
  return new ApiProblem(
    'answer',
    response.status,
    typeof text === 'string' ? text : response.statusText,
    fields.map((field) => ({ where: String(field.where ?? ''), reason: String(field.reason ?? '') })),
  );
}

interface RequestOptions {
  method?: 'GET' | 'POST' | 'DELETE';
  json?: unknown;
  text?: { body: string; type: string };
  timeoutMs?: number;
  /** For sign-in, where 401 means a wrong password and not that the session is over. */
  quiet401?: boolean;
}

async function request<T>(path: string, options: RequestOptions = {}): Promise<T> {
  const method = options.method ?? 'GET';
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (method !== 'GET') headers['X-CSRF-Token'] = csrfToken;
  let body: string | undefined;
  if (options.text) {
    headers['Content-Type'] = options.text.type;
    body = options.text.body;
  } else if (options.json !== undefined) {
    headers['Content-Type'] = 'application/json';
    body = JSON.stringify(options.json);
  }
  try {
    const response = await fetch(path, {
      method,
      headers,
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
      ...(body === undefined ? {} : { body }),
    });
    if (!response.ok) {
      if (response.status === 401 && !options.quiet401) onSignedOut();
      throw await problemOf(response);
    }
    if (response.status === 204) return undefined as T;
    const text = await response.text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  } catch (error) {
    if (error instanceof ApiProblem) throw error;
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
    throw new ApiProblem(timedOut ? 'timeout' : 'network', 0, String(error));
  }
}

/** Pages of the service itself, to be read and printed. */
export const pages = {
  flightLog: (vehicleId: string, lang: string) => `api/vehicles/${encodeURIComponent(vehicleId)}/log.html?lang=${lang}`,
  incidents: (lang: string) => `api/incidents.html?lang=${lang}`,
  incident: (incidentId: string, lang: string) =>
    `api/incidents/${encodeURIComponent(incidentId)}/report.html?lang=${lang}`,
};

const post = <T>(path: string, json: unknown = {}, more: RequestOptions = {}): Promise<T> =>
  request<T>(path, { method: 'POST', json, ...more });
const id = encodeURIComponent;

function rememberCsrf<T extends SignedIn>(answer: T): T {
  csrfToken = answer.csrf_token;
  return answer;
}

/** A key that is unique enough for idempotency; `randomUUID` exists in secure contexts only. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export const api = {
  signIn: async (user_id: string, password: string): Promise<SignedIn> =>
    rememberCsrf(await post<SignedIn>('api/sign-in', { user_id, password }, { quiet401: true })),
  signInByLink: async (token: string): Promise<SignedIn> =>
    rememberCsrf(await post<SignedIn>('api/sign-in/link', { token }, { quiet401: true })),
  signOut: () => post<void>('api/sign-out'),
  me: async (): Promise<Me> => rememberCsrf(await request<Me>('api/me', { quiet401: true })),

  region: () => request<Region>('api/region'),
  launchConditions: () => request<LaunchConditions>('api/launch'),
  reportWeather: (report: WeatherReport) => post<unknown>('api/weather', report),
  checkAirspace: (source: string) => post<unknown>('api/airspace/checks', { source }),
  liftGrounding: (groundingId: string, reason: string) =>
    post<unknown>(`api/groundings/${id(groundingId)}/lift`, { reason }),
  orders: async () => (await request<{ orders: Order[] }>('api/orders')).orders,
  order: (orderId: string) => request<OrderDetail>(`api/orders/${id(orderId)}`),
  cancelOrder: (orderId: string) => post<unknown>(`api/orders/${id(orderId)}/cancel`),
  importOrders: (csv: string) =>
    request<{ imported: number; already: number }>('api/orders/import', {
      method: 'POST',
      text: { body: csv, type: 'text/csv; charset=utf-8' },
      timeoutMs: 30_000,
    }),

  plans: async () => (await request<{ plans: PlanRun[] }>('api/plans')).plans,
  planRun: (runId: string) => request<PlanRun>(`api/plans/${id(runId)}`),
  makePlan: () => post<PlanRun>('api/plans'),
  decidePlan: (runId: string, decision: 'approve' | 'reject') =>
    post<unknown>(`api/plans/${id(runId)}/${decision}`),

  missions: async () => (await request<{ missions: Mission[] }>('api/missions')).missions,
  moveMission: (missionId: string, action: 'load' | 'accept' | 'cancel') =>
    post<unknown>(`api/missions/${id(missionId)}/${action}`),
  unloadMission: (missionId: string, missing: string[]) =>
    post<unknown>(`api/missions/${id(missionId)}/unload`, { missing }),
  resolveOrder: (orderId: string, outcome: Outcome, note: string) =>
    post<unknown>(`api/orders/${id(orderId)}/resolve`, { outcome, note }),

  alarms: async () => (await request<{ alarms: AlarmRow[] }>('api/alarms?limit=500')).alarms,
  alarmTable: async () => (await request<{ alarms: AlarmDefinition[] }>('api/alarms/table')).alarms,
  acknowledgeAlarm: (alarmId: string) => post<AlarmRow>(`api/alarms/${id(alarmId)}/acknowledge`),
  shelveAlarm: (alarmId: string, minutes: number, reason: string) =>
    post<AlarmRow>(`api/alarms/${id(alarmId)}/shelve`, { minutes, reason }),
  unshelveAlarm: (alarmId: string) => post<AlarmRow>(`api/alarms/${id(alarmId)}/unshelve`),

  vehicles: async () => (await request<{ vehicles: Vehicle[] }>('api/vehicles')).vehicles,
  track: async (vehicleId: string, start: Date, end: Date, maxPoints: number) => {
    const query = new URLSearchParams({
      from: start.toISOString(), to: end.toISOString(), points: String(maxPoints),
    });
    const path = `api/vehicles/${id(vehicleId)}/track?${query}`;
    return (await request<{ points: TrackPoint[] }>(path)).points;
  },

  commands: async () => (await request<{ commands: Command[] }>('api/commands')).commands,
  command: (
    vehicleId: string, kind: CommandKind, idempotency_key: string, timeoutMs: number, params: CommandParams = {},
  ) => {
    const body = Object.keys(params).length > 0 ? { kind, idempotency_key, params } : { kind, idempotency_key };
    return post<Command>(`api/vehicles/${id(vehicleId)}/commands`, body, { timeoutMs });
  },
  preview: (vehicleId: string, kind: CommandKind) =>
    post<Pick<Command, 'preview_ja' | 'preview_en'>>(`api/vehicles/${id(vehicleId)}/commands/preview`, { kind }),
  holdAll: (idempotency_key: string, timeoutMs: number) =>
    post<{ commands: Command[] }>('api/region/hold', { idempotency_key }, { timeoutMs }),
  freeze: (vehicleId: string, idempotency_key: string) =>
    post<{ incident_id: string }>('api/incidents', { scope_kind: 'vehicle', scope_id: vehicleId, idempotency_key }),
  confirmCommand: (commandId: string, timeoutMs: number) =>
    post<Command>(`api/commands/${id(commandId)}/confirm`, {}, { timeoutMs }),

  control: async () => (await request<{ control: ControlRow[] }>('api/control')).control,
  moveControl: (vehicleId: string, move: ControlMove, to?: string) =>
    post<unknown>(`api/vehicles/${id(vehicleId)}/control/${move}`, to === undefined ? {} : { to }),
  duty: async () => (await request<{ duty: DutyRow[] }>('api/duty')).duty,
  moveDuty: (move: 'start' | 'end' | 'beat') => post<unknown>(`api/duty/${move}`),

  aircraft: async () => (await request<{ aircraft: MannedAircraft[] }>('api/airspace/aircraft')).aircraft,
  reportAircraft: (report: AircraftReport) => post<unknown>('api/airspace/aircraft', report),
  forgetAircraft: (ident: string) =>
    request<unknown>(`api/airspace/aircraft/${id(ident)}`, { method: 'DELETE' }),
  contingencies: async () => (await request<{ contingencies: DoneByRule[] }>('api/contingencies')).contingencies,

  missionFence: async (missionId: string): Promise<MissionFence> => {
    const { fence, rally } = await request<Partial<MissionFence>>(`api/missions/${id(missionId)}`);
    return { fence: fence ?? null, rally: rally ?? [] };
  },
  groundChecks: async (missionId: string) =>
    (await request<{ checks: GroundCheck[] }>(`api/missions/${id(missionId)}/checks`)).checks,
  check: (missionId: string, check: string, ok: boolean, note: string | null) =>
    post<unknown>(`api/missions/${id(missionId)}/checks`, { check, ok, note }),
};
