/** The fences of missions that were looked at: a mission's never changes. */

import { api, orAbsent } from './api';
import type { MissionFence } from './types_pilot';

const MOST_KEPT = 50;

class Fences {
  known = $state.raw<Readonly<Record<string, MissionFence | null>>>({});
  readonly #asked = new Set<string>();

  /** Reads the fence of a mission unless it is known. */
  want(missionId: string | null): void {
    if (missionId === null || this.#asked.has(missionId)) return;
    if (this.#asked.size >= MOST_KEPT) {
      this.#asked.clear();
      this.known = {};
    }
    this.#asked.add(missionId);
    void this.#read(missionId);
  }

  async #read(missionId: string): Promise<void> {
    try {
      const found = await orAbsent(api.missionFence(missionId));
      this.known = { ...this.known, [missionId]: found };
    } catch {
      // It is asked for again when the vehicle is chosen again.
      this.#asked.delete(missionId);
    }
  }
}

export const fences = new Fences();
