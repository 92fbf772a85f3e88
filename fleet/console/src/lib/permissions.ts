/** Which controls a role is shown. The service decides; this only keeps useless buttons off the screen. */

import type { Role } from './types';

export type Action = 'command' | 'accept' | 'load' | 'unload' | 'plan' | 'cancel' | 'import' | 'freeze' | 'duty' | 'aircraft' | 'check';

const CREW: Action[] = ['load', 'unload', 'check'];
const DISPATCH: Action[] = ['plan', 'cancel', 'import', 'freeze', 'aircraft'];

const ALLOWED: Record<Role, ReadonlySet<Action>> = {
  viewer: new Set(),
  ground_crew: new Set(CREW),
  dispatcher: new Set(DISPATCH),
  pilot: new Set([...DISPATCH, 'command', 'accept', 'duty']),
  // Launches and commands need a pilot, whoever else is signed in.
  administrator: new Set([...CREW, ...DISPATCH]),
};

export function mayDo(role: Role | undefined, action: Action): boolean {
  return role !== undefined && (ALLOWED[role]?.has(action) ?? false);
}
