/** Fetches a list again when told that it changed: one request at a time, and what comes meanwhile once. */

import { TIMEOUT_MS } from './api';

// A burst of changes (an approved plan touches every order) becomes one request.
const GATHER_MS = 150;
const RETRY_MS = 3000;
// Eight vehicles change something several times a second; a person reads a list once a second at most.
const APART_MS = 1000;

/** `done` is called after each attempt, with `null` or with what went wrong. */
export class Refresher {
  #wanted = false;
  #busy = false;
  #timer = 0;
  #stopped = true;
  #lastMs = -Infinity;

  constructor(
    private readonly fetchNow: () => Promise<void>,
    private readonly done: (error: unknown) => void,
    private readonly apartMs: number = APART_MS,
  ) {}

  start(): void {
    this.#stopped = false;
    this.want();
  }

  stop(): void {
    this.#stopped = true;
    this.#wanted = false;
    window.clearTimeout(this.#timer);
    this.#timer = 0;
  }

  want(afterMs: number = GATHER_MS): void {
    this.#wanted = true;
    if (this.#stopped || this.#busy || this.#timer !== 0) return;
    const rest = this.#lastMs + this.apartMs - performance.now();
    this.#timer = window.setTimeout(() => void this.#run(), Math.min(Math.max(afterMs, rest), TIMEOUT_MS));
  }

  async #run(): Promise<void> {
    this.#timer = 0;
    this.#busy = true;
    this.#wanted = false;
    this.#lastMs = performance.now();
    let problem: unknown = null;
    try {
      await this.fetchNow();
    } catch (error) {
      problem = error;
    }
    this.#busy = false;
    if (!this.#stopped) this.done(problem);
    if (problem !== null) this.want(RETRY_MS);
    else if (this.#wanted) this.want();
  }
}
