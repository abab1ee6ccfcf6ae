/** Numbers, durations and times as people read them, and where an axis has its ticks. */

const plain = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 5 });
const hundredths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const scientific = new Intl.NumberFormat(undefined, { notation: "scientific", maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const times = {
  minutes: new Intl.DateTimeFormat(undefined, clock),
  seconds: new Intl.DateTimeFormat(undefined, { ...clock, second: "2-digit" }),
  millis: new Intl.DateTimeFormat(undefined, { ...clock, second: "2-digit", fractionalSecondDigits: 3 }),
  day: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }),
  month: new Intl.DateTimeFormat(undefined, { month: "short", year: "numeric" }),
  date: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" }),
};

/** A measured value, to five significant digits. */
export function number(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e9) ? scientific.format(value) : plain.format(value);
}

/** Values beside an axis: millions in short, where that keeps them apart, for an axis has little room. */
export function numbers(values) {
  const short = values.map((value) => compact.format(value));
  const large = values.some((value) => Math.abs(value) >= 1e6);
  return large && new Set(short).size === short.length ? short : values.map(number);
}

/** A measured value with its unit, if it has one. */
export const measured = (value, unit) => (unit ? `${number(value)} ${unit}` : number(value));

/** What was expected: four digits are all that an estimate is worth. */
export const estimate = (value) => number(Number(value.toPrecision(4)));

/** A score, grade or confidence: two decimals are all one can tell apart. */
export const score = (value) => (Number.isFinite(value) && value !== null ? hundredths.format(value) : "–");

/** A count: exact while it fits a tile. */
export const count = (value) => (value < 1e7 ? whole : compact).format(value);

/** A rate: a decimal only where it matters. */
export const rate = (value) => (value < 10 ? plain.format(Math.round(value * 10) / 10) : whole.format(value));

/** Milliseconds as a duration of one unit. */
export function duration(milliseconds) {
  if (milliseconds < 1000) return `${whole.format(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : whole.format(seconds)} s`;
  if (seconds < 7200) return `${whole.format(seconds / 60)} min`;
  return seconds < 172_800 ? `${whole.format(seconds / 3600)} h` : `${whole.format(seconds / 86_400)} d`;
}

/** Bytes in binary units. */
export function bytes(value) {
  if (value < 1024) return `${value} B`;
  return value < 1024 ** 2 ? `${whole.format(value / 1024)} KiB` : `${(value / 1024 ** 2).toFixed(1)} MiB`;
}

/** A moment to the millisecond, with its date. */
export const moment = (time) => `${times.date.format(time)}, ${times.millis.format(time)}`;

/** A moment in few words: only the time if it is of today, no year if it is of this year. */
export function brief(time) {
  const [now, then] = [new Date(), new Date(time)];
  if (now.toDateString() === then.toDateString()) return times.seconds.format(time);
  const day = now.getFullYear() === then.getFullYear() ? times.day : times.date;
  return `${day.format(time)}, ${times.minutes.format(time)}`;
}

/** From when to when, as exactly as matters. */
export function span(from, to) {
  const sameDay = new Date(from).toDateString() === new Date(to).toDateString();
  const exact = to - from < 5000 ? times.millis : to - from < DAY ? times.seconds : times.minutes;
  const end = sameDay ? exact.format(to) : `${times.date.format(to)}, ${exact.format(to)}`;
  return `${times.date.format(from)}, ${exact.format(from)} – ${end}`;
}

/** The zone in which all times are shown. */
export function zone() {
  const minutes = -new Date().getTimezoneOffset();
  const sign = minutes < 0 ? "−" : "+";
  const size = Math.abs(minutes);
  const rest = size % 60 ? `:${String(size % 60).padStart(2, "0")}` : "";
  return minutes === 0 ? "UTC" : `UTC${sign}${Math.floor(size / 60)}${rest}`;
}

/** Round numbers within [low, high], about `wanted` of them, but at least two: with one nobody knows the scale. */
export function ticks(low, high, wanted) {
  const found = roundNumbers(low, high, wanted);
  return found.length < 2 && wanted < 10 ? ticks(low, high, wanted + 1) : found;
}

function roundNumbers(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999) ?? rough;
  const found = [];
  for (let index = Math.ceil(low / step); index * step <= high + step * 1e-9; index++) found.push(index * step + 0); // no -0
  return found;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 30, 90, 180, 365].map((n) => n * DAY),
];

/** Round local times within [from, to], about `wanted` of them, each with its label. */
export function timeTicks(from, to, wanted) {
  const rough = (to - from) / Math.max(1, wanted);
  const step = TIME_STEPS.find((size) => size >= rough) ?? Math.ceil(rough / DAY) * DAY;
  const offset = new Date(from).getTimezoneOffset() * MINUTE;
  const found = [];
  for (let time = Math.ceil((from - offset) / step) * step + offset; time <= to; time += step) {
    found.push({ time, label: tickLabel(time, step) });
  }
  return found;
}

function tickLabel(time, step) {
  if (step >= 90 * DAY) return times.month.format(time);
  const at = new Date(time);
  if (step >= DAY || (step >= MINUTE && at.getHours() === 0 && at.getMinutes() === 0)) return times.day.format(time);
  if (step >= MINUTE) return times.minutes.format(time);
  return step >= SECOND ? times.seconds.format(time) : times.millis.format(time);
}
