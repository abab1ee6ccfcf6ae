/** One sensor's readings as columns in order of event time: the newest `capacity` of them. */

const NONE = NaN; // where a document says null

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
    const column = () => new Float64Array(2 * capacity);
    this.time = column();
    this.score = column();
    this.threshold = column();
    this.grade = column();
    this.confidence = column();
    this.seen = column();
    this.anomaly = column(); // 1 or 0
    this.learning = column(); // 1 or 0
    this.values = features.map(column);
    this.expected = features.map(column);
    this.attribution = features.map(column);
    this.columns = [
      this.time, this.score, this.threshold, this.grade, this.confidence, this.seen, this.anomaly, this.learning,
      ...this.values, ...this.expected, ...this.attribution,
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
    if (document.silent_since) return; // no reading, so nothing to draw
    if (this.size === 2 * this.capacity) this.#shift(0, this.capacity);
    const time = Date.parse(document["@timestamp"]);
    const at = this.size > 0 && time < this.time[this.size - 1] ? this.after(time) : this.size;
    if (at < this.size) this.#shift(at + 1, at);
    else this.size++;
    this.time[at] = time;
    const learning = document.state === "learning"; // then there is no score yet, whatever the number says
    this.score[at] = learning ? NONE : (document.anomaly_score ?? NONE);
    this.threshold[at] = learning ? NONE : (document.threshold ?? NONE);
    this.grade[at] = document.anomaly_grade ?? NONE;
    this.confidence[at] = document.confidence ?? NONE;
    this.seen[at] = document.readings_seen;
    this.anomaly[at] = document.is_anomaly ? 1 : 0;
    this.learning[at] = learning ? 1 : 0;
    this.features.forEach((feature, index) => {
      this.values[index][at] = document[`feature_data_${feature}`] ?? NONE;
      this.expected[index][at] = document[`expected_values_${feature}`] ?? NONE;
      this.attribution[index][at] = document[`relevant_attribution_${feature}`] ?? NONE;
    });
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
