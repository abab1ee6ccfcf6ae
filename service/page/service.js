/** The service's API as the page uses it. Paths are relative, so that the page also works behind a proxy's prefix. */

import { request } from "./access.js";
import { EventStream } from "./event-stream.js";

const PAGE = 5000; // scores asked for at once
const FIRST_PAUSE = 1000; // ms until a broken stream is opened again
const LONGEST_PAUSE = 15_000;

/** GET a path; throws on anything but success. */
export async function get(path, parameters = {}, signal = undefined) {
  const response = await request(url(path, parameters), { signal });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** A path with those parameters that have a value. */
export function url(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  return query.size ? `${path}?${query}` : path;
}

/**
 * Up to `count` of a sensor's newest scores that match, oldest first; with `history` also those that left memory.
 * What is said of the documents' index is in the result's `historyLost`.
 */
export async function newest(sensor, count, { since, until, history = false, signal } = {}) {
  const found = [];
  let cursor = null;
  let lost = false;
  do {
    const limit = Math.min(PAGE, count - found.length);
    const page = await get("scores", { sensor, since, until, limit, cursor, history }, signal);
    found.push(...page.scores);
    lost ||= page.history === "unavailable";
    cursor = page.cursor;
  } while (cursor !== null && found.length < count);
  const place = (score) => score.row ?? -1; // what is only in the index comes first
  found.reverse().sort((a, b) => place(a) - place(b)); // as they were scored, which late ones are not by time
  return Object.assign(found, { historyLost: lost });
}

/**
 * A sensor's scores in a span of time, at most `count`, the newest: from memory, and from the index what is older.
 *
 * Returns {scores, complete from when on, historyLost}.
 */
export async function within(sensor, since, until, count, signal) {
  const recent = await newest(sensor, count, { since, until, signal });
  if (recent.length >= count) return { scores: recent, from: Date.parse(recent[0]["@timestamp"]), historyLost: false };
  const times = recent.map((score) => Date.parse(score["@timestamp"]));
  const earliest = times.length ? times.reduce((a, b) => Math.min(a, b)) : until;
  const older = await newest(sensor, count - recent.length, { since, until: earliest, history: true, signal });
  return { scores: [...older, ...recent], from: since, historyLost: older.historyLost };
}

/** The anomaly of a sensor that is next to a time, before or after it, and of another episode; null if there is none. */
export async function anomalyNextTo(sensor, time, direction, episode, signal) {
  const span = direction < 0 ? { until: time, order: "desc" } : { since: time + 1, order: "asc" };
  const fields = "@timestamp,episode_id,silent_since";
  const { scores } = await get("scores", { sensor, anomalies: true, limit: 1000, fields, ...span }, signal);
  return scores.find((score) => score.episode_id === null || score.episode_id !== episode) ?? null;
}

/**
 * Up to `count` of a sensor's scores around a time: half before, half after.
 *
 * Scores are asked for newest first, so what follows the time is bounded by as long a span as what came before. When
 * memory no longer reaches so far back, they are what the index holds.
 */
export async function around(sensor, time, count, signal) {
  let before = await newest(sensor, Math.ceil(count / 2), { until: time + 1, signal });
  const history = before.length === 0;
  if (history) before = await newest(sensor, Math.ceil(count / 2), { until: time + 1, history, signal });
  const { historyLost = false } = before;
  const first = before.length ? Date.parse(before[0]["@timestamp"]) : time;
  const reach = Math.max(time - first, 1000);
  const after = await newest(sensor, 2 * count, { since: time + 1, until: time + 1 + reach, history, signal });
  // A silence is told later than it began, perhaps beyond the span.
  const silence = await get("scores", { sensor, kind: "silent", since: time, order: "asc", limit: 1, history }, signal);
  const later = silence.scores.filter((score) => !after.some((known) => known["event.id"] === score["event.id"]));
  return { scores: [...before, ...after, ...later], from: time - reach, to: time + reach, historyLost };
}

/**
 * One sensor's newest scores and those that come, until closed.
 *
 * The live stream is opened first and held back until the history is there, so nothing is missed between the two; a row
 * that came both ways is the receiver's to drop. `ensure` opens a stream again that broke, with growing pauses.
 */
export class Feed {
  #source = null;
  #abort = null;
  #want = null;
  #pause = FIRST_PAUSE;
  #retryAt = 0;

  /** `onHistory(scores)` begins afresh, `onScore(score)` adds one, `onMissed()` says that some were dropped on the way. */
  constructor({ onHistory, onScore }) {
    this.onHistory = onHistory;
    this.onScore = onScore;
  }

  follow(sensor, count) {
    this.#want = { sensor, count };
    this.#pause = FIRST_PAUSE;
    this.#open();
  }

  close() {
    this.#want = null;
    this.#stop();
  }

  /** Called while the service answers: opens the stream again if it broke. */
  ensure() {
    if (this.#want && !this.#source && performance.now() >= this.#retryAt) this.#open();
  }

  #stop() {
    this.#source?.close();
    this.#abort?.abort();
    this.#source = null;
  }

  #broken() {
    this.#stop();
    this.#retryAt = performance.now() + this.#pause;
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
  }

  #open() {
    this.#stop();
    const { sensor, count } = this.#want;
    const source = (this.#source = new EventStream(url("scores/stream", { sensor })));
    const abort = (this.#abort = new AbortController());
    let held = [];
    source.onopen = async () => {
      try {
        const history = await newest(sensor, count, { signal: abort.signal });
        if (this.#source !== source) return;
        this.onHistory(history);
        held.forEach(this.onScore);
        held = null;
        this.#pause = FIRST_PAUSE;
      } catch {
        if (this.#source === source) this.#broken();
      }
    };
    source.onerror = () => {
      if (this.#source === source) this.#broken();
    };
    source.addEventListener("score", (event) => {
      const score = JSON.parse(event.data);
      if (held) held.push(score);
      else this.onScore(score);
    });
    // This browser fell behind the service's memory: begin again with what it remembers.
    source.addEventListener("gap", () => {
      if (this.#source === source) this.#broken();
    });
  }
}
