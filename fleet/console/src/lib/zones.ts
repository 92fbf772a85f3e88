/** What a zone or a lane asks of a flight, in words. */

import { calendarDay, clockTime, i18n, t, term } from './i18n.svelte';
import type { AltitudeReference, Lane, Period, Zone } from './types';
import { REFERENCES, WEEKDAYS } from './words';

const DAY_MIN = 1440;
/** A lane that takes this many has no bound worth telling. */
export const MANY = 1000;
const height = (metres: number, reference: AltitudeReference): string =>
  term(REFERENCES, reference).replace('{m}', String(Math.round(metres)));

/** From where to where a zone reaches, and above what. */
export function heights({ floor_m, floor_reference, ceiling_m, ceiling_reference }: Zone): string {
  const floor = floor_m === null ? null : height(floor_m, floor_reference);
  const ceiling = ceiling_m === null ? null : height(ceiling_m, ceiling_reference);
  if (floor === null) return ceiling === null ? t('zoneAllHeights') : t('zoneUpTo', { ceiling });
  return ceiling === null ? t('zoneFrom', { floor }) : t('zoneBetween', { floor, ceiling });
}

/** The heights between which the centre of a lane lies. */
export function laneHeights({ line }: Lane): string {
  const tops = line.map(([, , alt]) => alt);
  const [low, high] = [Math.round(Math.min(...tops)), Math.round(Math.max(...tops))];
  return term(REFERENCES, 'amsl').replace('{m}', low === high ? String(low) : `${low}–${high}`);
}

/** When a zone applies, in the time of this device. */
export function times({ schedule }: Zone): string[] {
  return schedule.length ? schedule.map(period) : [t('zoneAlways')];
}

function period({ begins, ends, weekdays, from_minute, to_minute }: Period): string {
  const aheadMin = -new Date(begins ?? Date.now()).getTimezoneOffset();
  const allDay = to_minute - from_minute === DAY_MIN;
  // A morning here may be the evening before in UTC.
  const later = allDay ? 0 : Math.floor((from_minute + aheadMin) / DAY_MIN);
  const days = weekdays.map((day) => (day + later + 7) % 7).sort((a, b) => a - b);
  return [
    begins && t('zoneBegins', { time: `${calendarDay(begins)} ${clockTime(begins)}` }),
    ends && t('zoneEnds', { time: `${calendarDay(ends)} ${clockTime(ends)}` }),
    days.map((day) => WEEKDAYS[day]?.[i18n.language] ?? '').join(i18n.language === 'ja' ? '・' : ', '),
    allDay ? t('zoneAllDay') : `${minuteOfDay(from_minute + aheadMin)}–${minuteOfDay(to_minute + aheadMin)}`,
  ].filter(Boolean).join(' ');
}

function minuteOfDay(minute: number): string {
  const within = ((minute % DAY_MIN) + DAY_MIN) % DAY_MIN;
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(within / 60))}:${two(within % 60)}`;
}
