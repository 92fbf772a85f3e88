/** A past period as it was, in the messages of the live view: what it shows, and how one moves in it. */

import { Trails } from './trails';
import type { AlarmRow, PastMessage, VehicleLive } from './types';

export const SPEEDS = [1, 2, 5, 10, 20, 50, 100] as const;
// What was raised is told in words beside the picture; nobody reads further back than this.
const MOST_TOLD = 50;

export class Past {
  state = $state<'loading' | 'playing' | 'paused' | 'ended' | 'lost'>('loading');
  /** Why it was refused or broke off. */
  reason = $state('');
  /** Domain time that is shown, in milliseconds of the epoch. */
  atMs = $state(0);
  speed = $state(1);
  /** The state of each vehicle then. */
  live = $state.raw<Readonly<Record<string, VehicleLive>>>({});
  /** What happened to alarms, the newest first. */
  told = $state.raw<AlarmRow[]>([]);
  trails = $state.raw(new Trails());

  #socket: WebSocket | null = null;

  constructor(readonly fromMs: number, readonly toMs: number, speed: number) {
    this.speed = speed;
    this.atMs = fromMs;
    this.#connect(fromMs);
  }

  pause(): void {
    if (this.state !== 'playing') return;
    this.state = 'paused';
    this.#ask({ pause: true });
  }

  /** Goes on; from the beginning if it has ended, and anew if it broke off. */
  play(): void {
    if (this.state === 'ended') this.seek(this.fromMs);
    else if (this.state === 'lost') this.#connect(this.atMs);
    else if (this.state === 'paused') {
      this.state = 'playing';
      this.#ask({ pause: false });
    }
  }

  seek(atMs: number): void {
    this.atMs = Math.min(Math.max(atMs, this.fromMs), this.toMs);
    if (this.state === 'ended') this.state = 'playing';
    this.#ask({ seek: new Date(this.atMs).toISOString() });
  }

  choose(speed: number): void {
    this.speed = speed;
    this.#ask({ speed });
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #connect(atMs: number): void {
    this.close();
    this.state = 'loading';
    this.reason = '';
    const url = new URL('api/replay', document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    url.hash = '';
    url.search = String(
      new URLSearchParams({
        from: new Date(this.fromMs).toISOString(), to: new Date(this.toMs).toISOString(), speed: String(this.speed),
      }),
    );
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onopen = () => atMs > this.fromMs && this.#ask({ seek: new Date(atMs).toISOString() });
    socket.onmessage = (event) => typeof event.data === 'string' && this.#hear(event.data);
    socket.onclose = (event) => {
      this.#socket = null;
      this.state = 'lost';
      this.reason = event.reason;
    };
  }

  #ask(control: { pause?: boolean; seek?: string; speed?: number }): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(control));
  }

  #hear(text: string): void {
    const message = JSON.parse(text) as PastMessage;
    if (message.type === 'end') this.state = 'ended';
    else if (message.type === 'alarms') {
      const before = message.reset ? [] : this.told;
      this.told = [...message.alarms.toReversed(), ...before].slice(0, MOST_TOLD);
    } else if (message.type === 'snapshot') this.#show(message.t, message.vehicles, message.full);
  }

  #show(t: string, vehicles: VehicleLive[], full: boolean): void {
    if (this.state === 'loading') this.state = 'playing';
    this.atMs = Date.parse(t);
    // Elsewhere in time, other ways led there.
    if (full) this.trails = new Trails();
    const live: Record<string, VehicleLive> = full ? {} : { ...this.live };
    for (const vehicle of vehicles) {
      live[vehicle.vehicle_id] = vehicle;
      this.trails.add(vehicle);
    }
    this.live = live;
  }
}
