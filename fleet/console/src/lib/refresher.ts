/** Fetches a list again when told that it changed: one request at a time, and what comes meanwhile once. */

import { TIMEOUT_MS } from './api';

// A burst of changes (an approved plan touches every order) becomes one request.
const GATHER_MS = 150;
const RETRY_MS = 3000;

export class Refresher {
  #wanted = false;
  #busy = false;
  #timer = 0;
  #stopped = true;

  constructor(
    private readonly fetchNow: () => Promise<void>,
    private readonly failed: (error: unknown) => void,
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
    this.#timer = window.setTimeout(() => void this.#run(), Math.min(afterMs, TIMEOUT_MS));
  }

  async #run(): Promise<void> {
    this.#timer = 0;
    this.#busy = true;
    this.#wanted = false;
    let retry = false;
    try {
      await this.fetchNow();
    } catch (error) {
      retry = true;
      if (!this.#stopped) this.failed(error);
    }
    this.#busy = false;
    if (retry) this.want(RETRY_MS);
    else if (this.#wanted) this.want();
  }
}
