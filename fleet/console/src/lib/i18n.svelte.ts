/** The language chosen, and words, numbers and times in it. */

import { WORDS, type Entry, type Language, type Word } from './words';

const STORAGE_KEY = 'todoke-language';

function remembered(): Language {
  try {
    const stored = localStorage.getItem(STORAGE_KEY);
    if (stored === 'ja' || stored === 'en') return stored;
  } catch {
    // Storage is closed in some private modes; the browser's language is good enough.
  }
  return navigator.language.toLowerCase().startsWith('ja') ? 'ja' : 'en';
}

class I18n {
  language = $state<Language>(remembered());

  choose(language: Language): void {
    this.language = language;
    this.apply();
    try {
      localStorage.setItem(STORAGE_KEY, language);
    } catch {
      // Not remembered, then.
    }
  }

  /** Tells the document, so that screen readers speak and fonts draw the right language. */
  apply(): void {
    document.documentElement.lang = this.language;
    document.title = this.titled();
  }

  /** The page's name. */
  titled(): string {
    return `${WORDS.appName[this.language]} – ${WORDS.console[this.language]}`;
  }
}

export const i18n = new I18n();

type Holes<S extends string> = S extends `${string}{${infer Hole}}${infer Rest}` ? Hole | Holes<Rest> : never;
type HolesOf<W extends Word> = Holes<(typeof WORDS)[W][Language]>;
type Values<W extends Word> = [HolesOf<W>] extends [never] ? [] : [values: Record<HolesOf<W>, string | number>];

/** A label in the language chosen; a label with `{places}` takes their values. */
export function t<W extends Word>(word: W, ...[values]: Values<W>): string {
  const template: string = WORDS[word][i18n.language];
  if (!values) return template;
  const filled = values as Record<string, string | number>;
  return template.replace(/\{(\w+)\}/g, (place, name: string) => String(filled[name] ?? place));
}

/** The word for a value of a fixed list; a value that a newer service sends is shown as it is. */
export function term<K extends string>(terms: Record<K, Entry>, key: K): string {
  const entry: Entry | undefined = terms[key];
  return entry ? entry[i18n.language] : String(key);
}

/** A thing's name in the language chosen. */
export function nameOf(thing: { name_ja: string; name_en: string }): string {
  return i18n.language === 'ja' ? thing.name_ja : thing.name_en;
}

const locale = (): string => (i18n.language === 'ja' ? 'ja-JP' : 'en-GB');
const formats = new Map<string, Intl.DateTimeFormat>();

function formatted(at: Date, name: string, options: Intl.DateTimeFormatOptions): string {
  if (Number.isNaN(at.getTime())) return '–';
  const key = `${locale()}/${name}`;
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.DateTimeFormat(locale(), options)));
  return format.format(at);
}

type Moment = string | Date | null | undefined;
const asDate = (moment: string | Date): Date => (typeof moment === 'string' ? new Date(moment) : moment);

/** Local time of day, hh:mm. */
export function clockTime(moment: Moment): string {
  return moment ? formatted(asDate(moment), 'hm', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }) : '–';
}

/** Local time of day, hh:mm:ss. */
export function clockSeconds(moment: Moment): string {
  if (!moment) return '–';
  const options = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' } as const;
  return formatted(asDate(moment), 'hms', options);
}

/** Local day, such as 22 Nov (Sat). */
export function calendarDay(moment: Moment): string {
  if (!moment) return '–';
  return formatted(asDate(moment), 'day', { month: 'short', day: 'numeric', weekday: 'short' });
}

/** A number with fixed digits, or a dash when it is unknown. */
export function figure(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  return value.toFixed(digits).replace(/^-(0(\.0+)?)$/, '$1');
}

/** A duration in the largest unit that fits: 42 s, 3 min, 2 h. */
export function duration(seconds: number): string {
  const [s, min, h] = i18n.language === 'ja' ? ['秒', '分', '時間'] : ['s', 'min', 'h'];
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} ${s}`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} ${min}`;
  return `${Math.round(seconds / 3600)} ${h}`;
}
