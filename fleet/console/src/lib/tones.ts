/** The colour of a state's chip. */

import type { CommandState, MissionState, OrderState, PlanState } from './types';

type ChipTone = '' | 'going' | 'attention' | 'alarm' | 'good' | 'proposed';

export const ORDER_TONES: Record<OrderState, ChipTone> = {
  received: '', planned: 'proposed', loaded: 'proposed', underway: 'going', unconfirmed: 'alarm',
  delivered: 'good', failed: 'alarm', cancelled: '',
};

export const MISSION_TONES: Record<MissionState, ChipTone> = {
  planned: 'proposed', loaded: 'proposed', accepted: 'going', starting: 'going', underway: 'going',
  held: 'attention', returning: 'attention', completed: 'good', aborted: 'alarm', failed: 'alarm', cancelled: '',
};

export const PLAN_TONES: Record<PlanState, ChipTone> = {
  queued: '', running: 'going', proposed: 'proposed', approved: 'good', rejected: '', failed: 'alarm',
};

export const COMMAND_TONES: Record<CommandState, ChipTone> = {
  proposed: 'proposed', pending: 'going', sent: 'going', done: 'good', failed: 'alarm', expired: 'alarm',
};
