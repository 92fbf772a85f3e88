/** Orders as people look for them: by what has to be done about them, and by words. */

import type { Order, OrderState, PlanRun } from './types';

export type OrderFilter = 'open' | 'trouble' | 'done' | 'all';

export const CLOSED: ReadonlySet<OrderState> = new Set(['delivered', 'failed', 'cancelled']);
const RANK: Record<OrderState, number> = {
  unconfirmed: 0, underway: 1, loaded: 2, planned: 3, received: 4, failed: 5, delivered: 6, cancelled: 7,
};
/** Less than this is noise. */
export const LATE_S = 120;

/** It will come after the time that was promised. */
export function misses(order: Order): boolean {
  return order.eta !== null && !CLOSED.has(order.state) && Date.parse(order.eta) > Date.parse(order.latest);
}

/** Somebody should look at it: it failed, nobody knows where it is, it was left out with a reason, or it is late. */
export function troubled(order: Order): boolean {
  if (order.state === 'failed' || order.state === 'unconfirmed') return true;
  return (order.state === 'received' && order.reason !== null) || misses(order);
}

export function matching(order: Order, filter: OrderFilter): boolean {
  if (filter === 'open') return !CLOSED.has(order.state);
  if (filter === 'done') return CLOSED.has(order.state);
  return filter === 'all' || troubled(order);
}

/** What is on its way first; of these what comes first. */
export function byUrgency(a: Order, b: Order): number {
  const time = (order: Order): string => order.eta ?? order.latest;
  return (
    (RANK[a.state] ?? 9) - (RANK[b.state] ?? 9) || b.priority - a.priority || time(a).localeCompare(time(b)) ||
    a.external_ref.localeCompare(b.external_ref, 'en', { numeric: true })
  );
}

/** Whether all words of a search are somewhere in the texts; full and half width, capitals and small are the same. */
export function found(texts: string[], search: string): boolean {
  const normal = (text: string): string => text.normalize('NFKC').toLowerCase();
  const all = normal(texts.join('\n'));
  return normal(search).split(/\s+/).every((word) => all.includes(word));
}

/** Orders that nobody will deliver as things stand, with the reason: by the plan that waits for a decision, if any. */
export function unserved(orders: Order[], proposed: PlanRun | null): { orderId: string; reason: string }[] {
  const left = new Map(proposed?.plan?.unserved.map(({ order_id, reason }) => [order_id, reason]));
  for (const order of orders) {
    const open = order.state === 'failed' || (order.state === 'received' && !proposed?.plan);
    if (open && order.reason && !left.has(order.order_id)) left.set(order.order_id, order.reason);
  }
  return [...left].map(([orderId, reason]) => ({ orderId, reason }));
}
