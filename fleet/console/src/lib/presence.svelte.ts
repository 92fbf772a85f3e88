/** Signs of life of the person at the console: sent when there is input, asked for when there is none. */

import { ApiProblem, api } from './api';
import { clock } from './clock.svelte';

const BEAT_APART_MS = 10_000;
/** Without input for so long while vehicles that one controls move, one is asked. */
export const ASK_AFTER_S = 40;
const INPUTS = ['pointerdown', 'pointermove', 'keydown', 'wheel'] as const;

export class Presence {
  /** Monotonic wall time of the last input. */
  #inputMs = $state(performance.now());
  #beatMs = -Infinity;
  #absent = false;

  /** `wanted`: whether signs of life of this person matter now. */
  constructor(private readonly wanted: () => boolean) {}

  quietS = $derived((clock.wallMs - this.#inputMs) / 1000);

  /** Listens to input; returns what ends that. */
  watch(): () => void {
    const hear = (): void => this.hear();
    for (const name of INPUTS) window.addEventListener(name, hear, { capture: true, passive: true });
    return () => INPUTS.forEach((name) => window.removeEventListener(name, hear, { capture: true }));
  }

  hear(): void {
    const now = performance.now();
    // The pointer moves a hundred times a second; nobody needs to know it so closely.
    if (now - this.#inputMs > 500) this.#inputMs = now;
    if (this.#absent || now - this.#beatMs < BEAT_APART_MS || !this.wanted()) return;
    this.#beatMs = now;
    void this.#beat();
  }

  async #beat(): Promise<void> {
    try {
      await api.moveDuty('beat');
    } catch (error) {
      // The next input sends another; that the service does not answer is said by the live line.
      this.#absent = error instanceof ApiProblem && error.absent;
    }
  }
}
