/** The live connection: reconnects with back-off, and knows since when it has been blind. */

import type { AlarmRow, LiveMessage, ProcessLive, Topic, VehicleLive } from './types';

const OPEN_WITHIN_MS = 8000;
const BACK_OFF_MS = { first: 500, most: 10_000 } as const;
/** Snapshots come at least once a second, even when nothing has changed; after this long without one the picture is
 *  old. */
export const BLIND_AFTER_MS = 4000;
/** A connection that says nothing for so long is dead even if it is open (a sleeping laptop, a lost NAT). */
const RENEW_AFTER_MS = 12_000;
const WATCH_MS = 500;

export interface LiveHandlers {
  /** Those vehicles and processes that have changed. */
  snapshot(t: string, vehicles: VehicleLive[], processes: ProcessLive[]): void;
  /** Changes of alarms, in order, none left out; but `reset` says that some were. */
  alarms(rows: AlarmRow[], reset: boolean): void;
  changed(topics: Topic[]): void;
  /** The connection was (re)made: what was missed must be fetched. */
  opened(): void;
  /** It was refused or lost: perhaps the session is over. */
  lost(): void;
}

export class Live {
  state = $state<'off' | 'connecting' | 'open' | 'waiting'>('off');
  /** No snapshot for a while, however open the connection looks. */
  blind = $state(false);
  /** Domain time of the last snapshot. */
  lastT = $state<string | null>(null);
  /** Monotonic wall time of the next attempt, while waiting. */
  retryAtMs = $state(0);

  #socket: WebSocket | null = null;
  #handlers: LiveHandlers;
  #failures = 0;
  #retryTimer = 0;
  #watchTimer = 0;
  #lastSnapshotMs = 0;
  #lastHeardMs = 0;
  /** Up to where alarms were heard: a new connection goes on from there. */
  #cursor: number | null = null;
  #online = (): void => this.reconnect();

  constructor(handlers: LiveHandlers) {
    this.#handlers = handlers;
  }

  start(): void {
    if (this.state !== 'off') return;
    this.#lastSnapshotMs = performance.now();
    this.#watchTimer = window.setInterval(() => this.#watch(), WATCH_MS);
    window.addEventListener('online', this.#online);
    this.#connect();
  }

  stop(): void {
    window.removeEventListener('online', this.#online);
    window.clearInterval(this.#watchTimer);
    window.clearTimeout(this.#retryTimer);
    this.#drop();
    this.state = 'off';
    this.blind = false;
    this.lastT = null;
    this.#cursor = null;
    this.#failures = 0;
  }

  /** Tries at once instead of waiting. */
  reconnect(): void {
    if (this.state === 'off') return;
    window.clearTimeout(this.#retryTimer);
    this.#drop();
    this.#connect();
  }

  #connect(): void {
    this.state = 'connecting';
    const url = new URL('api/live', document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    url.hash = '';
    if (this.#cursor !== null) url.searchParams.set('cursor', String(this.#cursor));
    const socket = new WebSocket(url);
    this.#socket = socket;
    const tooLong = window.setTimeout(() => socket === this.#socket && this.#failed(), OPEN_WITHIN_MS);
    socket.onopen = () => {
      window.clearTimeout(tooLong);
      if (socket !== this.#socket) return;
      this.state = 'open';
      this.#lastHeardMs = performance.now();
      this.#handlers.opened();
    };
    socket.onclose = () => {
      window.clearTimeout(tooLong);
      if (socket === this.#socket) this.#failed();
    };
    socket.onmessage = (event) => {
      if (socket === this.#socket && typeof event.data === 'string') this.#hear(event.data);
    };
  }

  #hear(text: string): void {
    let message: LiveMessage;
    try {
      message = JSON.parse(text) as LiveMessage;
    } catch {
      return;
    }
    this.#lastHeardMs = performance.now();
    this.#failures = 0;
    if (message.type === 'snapshot' && Array.isArray(message.vehicles)) {
      this.#lastSnapshotMs = this.#lastHeardMs;
      this.lastT = message.t;
      this.blind = false;
      this.#handlers.snapshot(message.t, message.vehicles, message.processes ?? []);
    } else if (message.type === 'alarms' && Array.isArray(message.alarms)) {
      this.#cursor = message.cursor;
      this.#handlers.alarms(message.alarms, message.reset === true);
    } else if (message.type === 'changed' && Array.isArray(message.what)) {
      this.#handlers.changed(message.what);
    }
  }

  #failed(): void {
    this.#drop();
    const longest = Math.min(BACK_OFF_MS.most, BACK_OFF_MS.first * 2 ** this.#failures);
    this.#failures += 1;
    // Jitter, so that a room full of consoles does not come back at the same instant.
    const delay = longest * (0.5 + Math.random() / 2);
    this.state = 'waiting';
    this.retryAtMs = performance.now() + delay;
    this.#retryTimer = window.setTimeout(() => this.#connect(), delay);
    this.#handlers.lost();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onclose = socket.onmessage = null;
    socket.close();
  }

  #watch(): void {
    const now = performance.now();
    this.blind = now - this.#lastSnapshotMs > BLIND_AFTER_MS;
    if (this.state === 'open' && now - this.#lastHeardMs > RENEW_AFTER_MS) this.#failed();
  }
}
