/** One sensor's readings as columns in order of event time: the newest `capacity` of them. */

const NONE = NaN; // where a document says null
const GAP = 5; // times the usual interval from which on a pause is a gap
const SAMPLED = 512; // intervals looked at to know the usual one

export class Series {
  /**
   * @param {string[]} features names of a reading's values
   * @param {number} capacity readings kept
   */
  constructor(features, capacity) {
    this.features = features;
    this.capacity = capacity;
    this.lastRow = -1;
    this.size = 0; // filled part of the columns; the oldest are cut off only when the columns are full
    this.words = [""]; // kinds and episodes; the columns hold their places in here
    this.silences = []; // {since, time, severity, episode}: no reading came from the one to the other
    this.labels = "";
    const column = () => new Float64Array(2 * capacity);
    this.time = column();
    this.score = column();
    this.threshold = column();
    this.alertScore = column();
    this.severity = column();
    this.confidence = column();
    this.seen = column();
    this.anomaly = column(); // 1 or 0
    this.alert = column(); // 1 or 0
    this.learning = column(); // 1 or 0
    this.kind = column();
    this.episode = column();
    this.values = features.map(column);
    this.expected = features.map(column);
    this.lower = features.map(column); // of the interval that nine of ten readings fall into
    this.upper = features.map(column);
    this.attribution = features.map(column);
    this.columns = [
      ...[this.time, this.score, this.threshold, this.alertScore, this.severity, this.confidence, this.seen],
      ...[this.anomaly, this.alert, this.learning, this.kind, this.episode],
      ...this.values, ...this.expected, ...this.lower, ...this.upper, ...this.attribution,
    ];
  }

  /** The first index that counts. */
  get start() {
    return Math.max(0, this.size - this.capacity);
  }

  get length() {
    return this.size - this.start;
  }

  /** The newest reading's index, -1 if there is none. */
  get last() {
    return this.size - 1;
  }

  /** Insert a document by its event time; a row that is not newer than the newest was seen before. */
  add(document) {
    if (document.row <= this.lastRow) return;
    this.lastRow = document.row;
    const time = Date.parse(document["@timestamp"]);
    if (document.silent_since) {
      this.silences.push({ since: Date.parse(document.silent_since), time, severity: document.severity, episode: document.episode_id });
      return; // no reading, so nothing to draw
    }
    if (this.size === 2 * this.capacity) this.#shift(0, this.capacity);
    const at = this.size > 0 && time < this.time[this.size - 1] ? this.after(time) : this.size;
    if (at < this.size) this.#shift(at + 1, at);
    else this.size++;
    this.time[at] = time;
    const scored = document.state !== "learning" || document.threshold !== null;
    this.score[at] = scored ? (document.anomaly_score ?? NONE) : NONE;
    this.threshold[at] = document.threshold ?? NONE;
    this.alertScore[at] = document.alert_score ?? NONE;
    this.severity[at] = document.severity;
    this.confidence[at] = document.confidence ?? NONE;
    this.seen[at] = document.readings_seen;
    this.anomaly[at] = document.is_anomaly ? 1 : 0;
    this.alert[at] = document.alert ? 1 : 0;
    this.learning[at] = document.state === "learning" ? 1 : 0;
    this.kind[at] = this.#word(document.anomaly_kind);
    this.episode[at] = this.#word(document.episode_id);
    this.features.forEach((feature, index) => {
      this.values[index][at] = document[`feature_data_${feature}`] ?? NONE;
      this.expected[index][at] = document[`expected_values_${feature}`] ?? NONE;
      this.lower[index][at] = document[`expected_lower_${feature}`] ?? NONE;
      this.upper[index][at] = document[`expected_upper_${feature}`] ?? NONE;
      this.attribution[index][at] = document[`relevant_attribution_${feature}`] ?? NONE;
    });
    this.labels = labelsOf(document);
  }

  /** The silence that begins after a reading, if one does. */
  silenceAfter(index) {
    return this.silences.find(({ since }) => since === this.time[index]);
  }

  /** The episode at a time: {episode, since, until}, its id and its first and last anomaly; null if there is none. */
  episodeAt(time) {
    const silence = this.silences.find(({ since }) => since === time);
    if (silence) return { episode: silence.episode, since: silence.since, until: silence.time };
    const index = this.nearest(time);
    const id = index < 0 ? 0 : this.episode[index];
    if (!id) return null;
    let [first, last] = [index, index];
    while (first > this.start && this.episode[first - 1] === id) first--;
    while (last < this.last && this.episode[last + 1] === id) last++;
    while (last > index && !this.anomaly[last]) last--;
    return { episode: this.words[id], since: this.time[first], until: this.time[last] };
  }

  /** Which value is to blame for a reading's score: the one with the largest share. */
  blamed(index) {
    let best = 0;
    this.attribution.forEach((share, feature) => {
      if (share[index] > this.attribution[best][index]) best = feature;
    });
    return best;
  }

  /** Milliseconds between two readings from which on nothing is known of the time between them. */
  gapBetween(first, last) {
    const step = Math.max(1, Math.floor((last - first) / SAMPLED));
    const intervals = [];
    for (let index = first + 1; index <= last; index += step) {
      const interval = this.time[index] - this.time[index - 1];
      if (interval > 0) intervals.push(interval);
    }
    if (intervals.length < 10) return Infinity;
    intervals.sort((a, b) => a - b);
    return GAP * intervals[Math.floor(0.9 * (intervals.length - 1))];
  }

  /** Take over the readings of `older` from before this series begins. */
  precede(older) {
    const end = this.length ? older.before(this.time[this.start]) : older.size;
    const start = Math.max(older.start, end - (this.capacity - this.length));
    const n = end - start;
    if (n <= 0) return;
    const own = this.start;
    this.columns.forEach((column, index) => {
      const mine = column.slice(own, this.size);
      column.set(older.columns[index].subarray(start, end));
      column.set(mine, n);
    });
    for (const column of [this.kind, this.episode]) {
      for (let index = 0; index < n; index++) column[index] = this.#word(older.words[column[index]]);
    }
    this.size = n + this.size - own;
  }

  /** The first index whose time is not before `time`. */
  before(time) {
    return this.#search((other) => other < time);
  }

  /** The first index whose time is after `time`. */
  after(time) {
    return this.#search((other) => other <= time);
  }

  /** The index nearest in time, -1 if there is none; of several at that time an anomaly, if there is one. */
  nearest(time) {
    if (!this.length) return -1;
    const right = Math.min(this.before(time), this.last);
    const left = Math.max(right - 1, this.start);
    const best = Math.abs(this.time[left] - time) < Math.abs(this.time[right] - time) ? left : right;
    for (let index = this.before(this.time[best]); index <= this.last && this.time[index] === this.time[best]; index++) {
      if (this.anomaly[index]) return index;
    }
    return best;
  }

  #word(text) {
    if (!text) return 0;
    const known = this.words.lastIndexOf(text);
    return known > 0 ? known : this.words.push(text) - 1;
  }

  #search(isBefore) {
    let low = this.start;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(this.time[middle])) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Move everything from index `from` on to index `to`. */
  #shift(to, from) {
    for (const column of this.columns) column.copyWithin(to, from, this.size);
    this.size += to - from;
  }
}

/** What a document says of its sensor besides: "area heating, site north". */
export function labelsOf(document) {
  const names = Object.keys(document).filter((name) => name.startsWith("labels."));
  return names.map((name) => `${name.slice("labels.".length)} ${document[name]}`).join(", ");
}
