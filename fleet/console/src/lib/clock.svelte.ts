/** Domain time, which a simulation may run faster than the wall's; and a tick for what counts seconds. */

const TICK_MS = 250;

class DomainClock {
  speed = $state(1);
  simulated = $state(false);
  /** Monotonic wall milliseconds, renewed four times a second: read it to be renewed with it. */
  wallMs = $state(performance.now());
  #anchorDomainMs = $state(Date.now());
  #anchorWallMs = $state(performance.now());

  constructor() {
    setInterval(() => (this.wallMs = performance.now()), TICK_MS);
  }

  set(clock: { now: string; speed: number; simulated: boolean }): void {
    const now = Date.parse(clock.now);
    if (Number.isNaN(now) || !(clock.speed > 0)) return;
    this.speed = clock.speed;
    this.simulated = clock.simulated;
    this.#anchor(now);
  }

  /** Corrects the clock by a live message; small differences are the network's, not the clock's. */
  hear(t: string): void {
    const heard = Date.parse(t);
    if (Number.isNaN(heard)) return;
    const ahead = heard - this.#domainAt(performance.now());
    if (ahead > 0 || ahead < -2000 * this.speed) this.#anchor(heard);
  }

  /** Domain time, in milliseconds of the epoch; follows the tick. */
  get nowMs(): number {
    return this.#domainAt(this.wallMs);
  }

  /** Wall seconds until a domain moment, as a person experiences them; negative when it has passed. */
  wallSecondsUntil(moment: string): number {
    return (Date.parse(moment) - this.nowMs) / 1000 / this.speed;
  }

  #anchor(domainMs: number): void {
    this.#anchorDomainMs = domainMs;
    this.#anchorWallMs = performance.now();
    this.wallMs = this.#anchorWallMs;
  }

  #domainAt(wallMs: number): number {
    return this.#anchorDomainMs + (wallMs - this.#anchorWallMs) * this.speed;
  }
}

export const clock = new DomainClock();
