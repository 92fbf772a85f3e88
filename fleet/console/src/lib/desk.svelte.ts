/** Gives commands: hold at one touch, the others proposed first and confirmed within their time. */

import { ApiProblem, api, newKey } from './api';
import { clock } from './clock.svelte';
import { i18n, t, term } from './i18n.svelte';
import { inWords, notices } from './notices.svelte';
import { app } from './state.svelte';
import type { Command, CommandKind, CommandParams } from './types';
import { COMMANDS } from './words';

/** A hold that got no answer is sent again with the same key: the service takes it once. */
const HOLD_ATTEMPTS = 3;
const COMMAND_TIMEOUT_MS = 4000;
const FORETELL_APART_MS = 5000;

export interface Proposal {
  command: Command;
  sending: boolean;
}

class CommandDesk {
  /** What waits for a confirmation, by vehicle: one at a time each. */
  proposals = $state<Record<string, Proposal>>({});
  /** What is being asked or sent now, by vehicle. */
  busy = $state<Record<string, CommandKind>>({});
  /** Why the last touch did not work, by vehicle; stays until the next. */
  problems = $state<Record<string, string>>({});

  holdingAll = $state(false);
  /** What a hold would do, by vehicle, for whoever is about to touch it. */
  foretold = $state<Record<string, Pick<Command, 'preview_ja' | 'preview_en'>>>({});
  #foretoldMs: Record<string, number> = {};

  async hold(vehicleId: string): Promise<void> {
    await this.#stop(vehicleId, 'hold', t('holdNotSent'));
  }

  /** Cuts the drives, where the maker offers that. */
  async emergencyStop(vehicleId: string): Promise<void> {
    await this.#stop(vehicleId, 'emergency_stop', t('emergencyNotSent'));
  }

  /** Gives a command that needs no second step: what a vehicle that stands and waits is told. */
  async give(vehicleId: string, kind: CommandKind, params: CommandParams): Promise<void> {
    if (this.busy[vehicleId]) return;
    delete this.problems[vehicleId];
    this.busy[vehicleId] = kind;
    try {
      await api.command(vehicleId, kind, newKey(), COMMAND_TIMEOUT_MS, params);
    } catch (error) {
      this.#failed(vehicleId, kind, error);
    } finally {
      if (this.busy[vehicleId] === kind) delete this.busy[vehicleId];
      app.refresh('commands');
    }
  }

  /** Everything that moves holds, and what stands does not set out until somebody lifts that. */
  async holdAll(): Promise<void> {
    const key = newKey();
    this.holdingAll = true;
    try {
      await this.#untilAnswered(() => api.holdAll(key, COMMAND_TIMEOUT_MS));
      notices.done(t('allHeld'));
    } catch (error) {
      notices.error(t('holdNotSent'), error);
    } finally {
      this.holdingAll = false;
      app.refresh('commands', 'missions');
    }
  }

  /** Takes the first step of two; returns whether it was proposed. */
  async propose(vehicleId: string, kind: CommandKind, params: CommandParams = {}): Promise<boolean> {
    delete this.problems[vehicleId];
    this.busy[vehicleId] = kind;
    try {
      const command = await api.command(vehicleId, kind, newKey(), COMMAND_TIMEOUT_MS, params);
      if (this.busy[vehicleId] !== kind) return false; // A hold overtook it: it is left to expire.
      if (command.state === 'proposed') this.proposals[vehicleId] = { command, sending: false };
      return true;
    } catch (error) {
      this.#failed(vehicleId, kind, error);
      return false;
    } finally {
      if (this.busy[vehicleId] === kind) delete this.busy[vehicleId];
      app.refresh('commands');
    }
  }

  async confirm(vehicleId: string): Promise<void> {
    const proposal = this.proposals[vehicleId];
    if (!proposal || proposal.sending) return;
    const { command } = proposal;
    proposal.sending = true;
    try {
      await api.confirmCommand(command.command_id, COMMAND_TIMEOUT_MS);
    } catch (error) {
      this.#failed(vehicleId, command.kind, error);
    } finally {
      this.drop(vehicleId, command.command_id);
      app.refresh('commands');
    }
  }

  /** Forgets a proposal; the service lets it expire and sends nothing. */
  drop(vehicleId: string, commandId: string): void {
    if (this.proposals[vehicleId]?.command.command_id === commandId) delete this.proposals[vehicleId];
  }

  /** Call with the tick: proposals whose time has run out go away, and say so. */
  expire(): void {
    for (const [vehicleId, { command, sending }] of Object.entries(this.proposals)) {
      if (sending || clock.wallSecondsUntil(command.expires_at) > 0) continue;
      this.drop(vehicleId, command.command_id);
      this.problems[vehicleId] = t('proposalExpired', { kind: term(COMMANDS, command.kind) });
    }
  }

  description(command: Command): string {
    const text = i18n.language === 'ja' ? command.description_ja : command.description_en;
    return text ?? term(COMMANDS, command.kind);
  }

  /** Asks what a hold would do; that nobody can tell keeps nobody from holding. */
  async foretellHold(vehicleId: string): Promise<void> {
    const now = performance.now();
    if (now - (this.#foretoldMs[vehicleId] ?? -Infinity) < FORETELL_APART_MS) return;
    this.#foretoldMs[vehicleId] = now;
    try {
      this.foretold[vehicleId] = await api.preview(vehicleId, 'hold');
    } catch {
      delete this.foretold[vehicleId];
    }
  }

  /** What it will do to this vehicle now, if the service says so. */
  preview(command: Pick<Command, 'preview_ja' | 'preview_en'>): string {
    return (i18n.language === 'ja' ? command.preview_ja : command.preview_en) ?? '';
  }

  async #stop(vehicleId: string, kind: CommandKind, notSent: string): Promise<void> {
    // A second touch while the first is on its way must not be lost if the first never arrives: it is
    // its own command, and stopping twice does no harm.
    delete this.problems[vehicleId];
    delete this.proposals[vehicleId];
    this.busy[vehicleId] = kind;
    const key = newKey();
    try {
      await this.#untilAnswered(() => api.command(vehicleId, kind, key, COMMAND_TIMEOUT_MS));
    } catch (error) {
      this.problems[vehicleId] = `${notSent}: ${inWords(error)}`;
      notices.error(`${vehicleId}: ${notSent}`, error);
    } finally {
      if (this.busy[vehicleId] === kind) delete this.busy[vehicleId];
      app.refresh('commands');
    }
  }

  #failed(vehicleId: string, kind: CommandKind, error: unknown): void {
    const fields = error instanceof ApiProblem ? error.fields.map(({ where, reason }) => `${where}: ${reason}`) : [];
    this.problems[vehicleId] = [`${term(COMMANDS, kind)}: ${inWords(error)}`, ...fields].join(' / ');
  }

  async #untilAnswered<T>(send: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await send();
      } catch (error) {
        const passing = error instanceof ApiProblem && error.passing;
        if (!passing || attempt >= HOLD_ATTEMPTS) throw error;
      }
    }
  }
}

export const desk = new CommandDesk();
