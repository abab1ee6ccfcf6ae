/**
 * A canvas with a panel for each value of a reading and one for the score below, on one time axis.
 *
 * However many readings come, it draws once an animation frame, and never more than the first, lowest, highest and last
 * reading of a pixel column: that is what a line through all of them would paint.
 */

import { number, ticks, timeTicks } from "./format.js";

const EASE = 110; // ms in which the axes cover 63 % of the way to where they should be
const MARK_GAP = 3; // units between two anomaly marks
const CROWDED = 3; // readings in a pixel column from which on a line is drawn as bars
const COLOURS = ["ink", "muted", "grid", "card", "value", "score", "threshold", "anomaly", "learning"];

export class Chart {
  #host;
  #canvas = document.createElement("canvas");
  #context = this.#canvas.getContext("2d");
  #colours = {};
  #series = null;
  #fixed = null; // {from, to} of a pinned view
  #count = 1000; // readings in a live view
  #view = null; // {from, to} as drawn
  #domains = []; // [low, high] of each panel as drawn
  #frame = 0;
  #drawn = 0;
  #settled = true;
  #pointer = null; // CSS pixels from the left
  #marker = null; // a time
  #layout = null;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  /** Calls `onHover(index, x, y)` whenever the reading under the crosshair may have changed; index -1 for none. */
  constructor(host, onHover) {
    this.#host = host;
    this.onHover = onHover;
    this.#canvas.setAttribute("aria-hidden", "true");
    host.append(this.#canvas);
    new ResizeObserver(() => this.redraw()).observe(host);
    host.addEventListener("pointermove", (event) => this.#point(event.clientX));
    host.addEventListener("pointerdown", (event) => this.#point(event.clientX));
    host.addEventListener("pointerleave", () => this.point(null));
    this.recolour();
  }

  /** Show the newest `count` readings, moving on as they come. */
  follow(series, count) {
    this.#reset(series);
    this.#fixed = null;
    this.#count = count;
  }

  /** Show a fixed span with a mark at a time. */
  pin(series, from, to, marker) {
    this.#reset(series);
    this.#fixed = { from, to };
    this.#marker = marker;
  }

  #reset(series) {
    if (this.#series !== series) this.#view = null;
    this.#series = series;
    this.#marker = null;
    this.#pointer = null;
    this.redraw();
  }

  /** Draw in the next frame. */
  redraw() {
    this.#frame ||= requestAnimationFrame((now) => this.#draw(now));
  }

  /** Take the colours from the style sheet again. */
  recolour() {
    const probe = document.createElement("i");
    this.#host.append(probe);
    for (const name of COLOURS) {
      probe.style.color = `var(--${name})`;
      this.#colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    this.redraw();
  }

  /** Put the crosshair at an index of the series, or take it away. */
  point(index) {
    this.#pointer = index === null ? null : this.#x(this.#series.time[index]);
    this.redraw();
  }

  /** The reading under the crosshair, -1 if there is none. */
  get pointed() {
    if (!this.#series?.length || !this.#layout) return -1;
    if (this.#pointer === null) return this.#marker === null ? -1 : this.#series.nearest(this.#marker);
    return this.#series.nearest(this.#timeAt(this.#pointer));
  }

  /** [first, last] index of what is shown. */
  get shown() {
    if (!this.#series || !this.#view) return [0, -1];
    return [this.#series.before(this.#view.from), this.#series.after(this.#view.to) - 1];
  }

  #point(clientX) {
    this.#pointer = clientX - this.#host.getBoundingClientRect().left;
    this.redraw();
  }

  #x(time) {
    const { left, width } = this.#layout;
    return left + ((time - this.#view.from) / (this.#view.to - this.#view.from)) * width;
  }

  #timeAt(x) {
    const { left, width } = this.#layout;
    return this.#view.from + ((x - left) / width) * (this.#view.to - this.#view.from);
  }

  #draw(now) {
    this.#frame = 0;
    const { clientWidth, clientHeight } = this.#host;
    if (!clientWidth || !clientHeight) return;
    const ratio = devicePixelRatio || 1;
    const canvas = this.#canvas;
    const size = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const context = this.#context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, clientWidth, clientHeight);
    const series = this.#series;
    if (!series?.length) {
      this.onHover(-1, 0, 0);
      return;
    }
    const elapsed = now - this.#drawn;
    this.#drawn = now;
    this.#settled = true;
    const share = this.#still.matches ? 1 : 1 - Math.exp(-Math.min(elapsed, 100) / EASE);
    this.#layout = this.#arrange(clientWidth, clientHeight, series);
    this.#moveView(share);
    const columns = this.#bin(series, ratio);
    this.#moveDomains(columns, share);
    this.#paint(series, columns, ratio);
    const pointed = this.pointed;
    if (pointed >= 0) this.#crosshair(series, pointed);
    else this.onHover(-1, 0, 0);
    if (!this.#settled) this.redraw();
  }

  #arrange(width, height, series) {
    const em = parseFloat(getComputedStyle(this.#host).fontSize);
    this.#context.font = `${em}px ${getComputedStyle(this.#host).fontFamily}`;
    const title = 1.9 * em;
    const axis = 2 * em;
    const left = 4.2 * em;
    const weights = [...series.features.map(() => (series.features.length === 1 ? 2.1 : 1.4)), 1];
    const room = height - axis - title * weights.length;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let top = 0;
    const panels = weights.map((weight) => {
      const panel = { top: top + title, height: (room * weight) / total };
      top += title + panel.height;
      return panel;
    });
    // Strokes and marks grow with the text, so that a wall shows them as well as a desk.
    return { em, unit: em / 12.5, left, width: width - left - 1.1 * em, panels, axis: top, right: width };
  }

  #moveView(share) {
    const series = this.#series;
    let target = this.#fixed;
    if (!target) {
      const to = series.time[series.last];
      const from = series.time[Math.max(series.start, series.size - this.#count)];
      target = { from, to: to > from ? to : from + 1000 };
    }
    const view = this.#view;
    const jump = !view || Math.abs(target.to - view.to) > (view.to - view.from) * 0.5 || this.#fixed;
    if (jump) this.#view = { ...target };
    else for (const end of ["from", "to"]) view[end] = this.#ease(view[end], target[end], share, (target.to - target.from) * 2e-4);
  }

  /** The lowest, highest, first and last value of each panel in each device pixel column, and what else shows there. */
  #bin(series, ratio) {
    const [first, last] = this.shown;
    const width = Math.max(1, Math.round(this.#layout.width * ratio));
    const { from, to } = this.#view;
    const scale = (width - 1) / (to - from);
    const traces = [...series.values, series.score].map((values) => {
      const trace = { values, low: Infinity, high: -Infinity, points: [] };
      // One reading beyond each edge, so that lines run to the border.
      let column = null;
      for (let index = Math.max(series.start, first - 1); index <= Math.min(series.last, last + 1); index++) {
        const value = values[index];
        if (!Number.isFinite(value)) continue;
        const at = Math.round((series.time[index] - from) * scale);
        if (index >= first && index <= last) {
          if (value < trace.low) trace.low = value;
          if (value > trace.high) trace.high = value;
        }
        if (column === null || column.at !== at) {
          column = { at, first: value, low: value, high: value, last: value };
          trace.points.push(column);
        } else {
          if (value < column.low) column.low = value;
          if (value > column.high) column.high = value;
          column.last = value;
        }
      }
      trace.crowded = last - first > CROWDED * trace.points.length;
      return trace;
    });
    const sparse = (last - first + 1) * 9 < this.#layout.width;
    return { traces, first, last, ratio, sparse };
  }

  #moveDomains({ traces, first, last }, share) {
    const series = this.#series;
    const targets = traces.map(({ low, high }) => {
      if (low > high) return [0, 1];
      const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
      return [low - room, high + room];
    });
    const score = targets.length - 1;
    let top = Math.max(0, traces[score].high);
    for (let index = first; index <= last; index++) if (series.threshold[index] > top) top = series.threshold[index];
    targets[score] = [0, top * 1.12 || 1];
    const same = this.#domains.length === targets.length;
    this.#domains = targets.map(([low, high], panel) => {
      if (!same || this.#fixed) return [low, high];
      const slack = (high - low) * 5e-4;
      return [this.#ease(this.#domains[panel][0], low, share, slack), this.#ease(this.#domains[panel][1], high, share, slack)];
    });
  }

  #ease(value, target, share, slack) {
    if (Math.abs(target - value) <= slack) return target;
    this.#settled = false;
    return value + (target - value) * share;
  }

  #y(panel, value) {
    const { top, height } = this.#layout.panels[panel];
    const [low, high] = this.#domains[panel];
    return top + height - ((value - low) / (high - low)) * height;
  }

  #paint(series, columns, ratio) {
    const context = this.#context;
    const { left, width, panels, em } = this.#layout;
    const score = panels.length - 1;
    const learning = this.#shadeLearning(series, columns);
    panels.forEach((panel, index) => this.#grid(index, index === score ? "anomaly score" : series.features[index]));
    if (learning) this.#sayLearning(learning);
    this.#timeAxis();
    context.save();
    context.beginPath();
    context.rect(left, 0, width + em * 0.5, this.#layout.axis);
    context.clip();
    const marks = this.#marks(series, columns);
    this.#stems(marks);
    columns.traces.forEach((trace, index) => {
      if (index === score) this.#area(index, trace, ratio);
      this.#line(index, trace, ratio, index === score ? "score" : "value", columns.sparse);
    });
    this.#threshold(series, columns);
    this.#diamonds(series, marks);
    context.restore();
    if (!this.#fixed) this.#head(series);
  }

  #grid(panel, title) {
    const context = this.#context;
    const { left, width, panels, em } = this.#layout;
    const { top, height } = panels[panel];
    const [low, high] = this.#domains[panel];
    context.strokeStyle = this.#colours.grid;
    context.lineWidth = 1;
    context.fillStyle = this.#colours.muted;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of ticks(low, high, Math.max(2, height / (em * 3.4)))) {
      const y = Math.round(this.#y(panel, value)) + 0.5;
      context.beginPath();
      context.moveTo(left, y);
      context.lineTo(left + width, y);
      context.stroke();
      context.fillText(number(value), left - em * 0.7, y);
    }
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
    context.fillText(title, left, top - em * 0.6);
  }

  #timeAxis() {
    const context = this.#context;
    const { left, width, axis, em, right } = this.#layout;
    context.fillStyle = this.#colours.muted;
    context.strokeStyle = this.#colours.muted;
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const { time, label } of timeTicks(this.#view.from, this.#view.to, width / (em * 9))) {
      const x = Math.round(this.#x(time)) + 0.5;
      context.beginPath();
      context.moveTo(x, axis);
      context.lineTo(x, axis + em * 0.35);
      context.stroke();
      const half = context.measureText(label).width / 2;
      context.fillText(label, Math.min(Math.max(x, left + half - em), right - half - 1), axis + em * 0.6);
    }
    context.beginPath();
    context.moveTo(left, Math.round(axis) + 0.5);
    context.lineTo(left + width, Math.round(axis) + 0.5);
    context.stroke();
  }

  /** Shade where the sensor was still learning; returns from where to where. */
  #shadeLearning(series, { first, last }) {
    let until = -1;
    for (let index = last; index >= first; index--) {
      if (series.learning[index]) {
        until = index;
        break;
      }
    }
    if (until < 0) return null;
    let since = until;
    while (since > first && series.learning[since - 1]) since--;
    const context = this.#context;
    const { panels, left } = this.#layout;
    const x = Math.max(left, this.#x(series.time[since]));
    const width = Math.min(this.#x(series.time[until]), left + this.#layout.width) - x;
    context.fillStyle = this.#colours.learning;
    for (const panel of panels) context.fillRect(x, panel.top, width, panel.height);
    return { x, width };
  }

  /** There are no scores there; say why on the spot. */
  #sayLearning({ x, width }) {
    const context = this.#context;
    const { panels, em } = this.#layout;
    const { top, height } = panels.at(-1);
    const words = width > em * 16 ? "learning: no scores yet" : "learning";
    const size = context.measureText(words).width + 2 * em;
    if (size > width) return;
    context.fillStyle = this.#colours.learning;
    context.fillRect(x + (width - size) / 2, top + height / 2 - em, size, 2 * em);
    context.fillStyle = this.#colours.muted;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(words, x + width / 2, top + height / 2);
  }

  /** Anomalies to mark: of those that would lie upon each other the highest score. */
  #marks(series, { first, last }) {
    const marks = [];
    for (let index = first; index <= last; index++) {
      if (!series.anomaly[index]) continue;
      const x = this.#x(series.time[index]);
      const y = this.#y(0, series.values[0][index]);
      const previous = marks.at(-1);
      const apart = previous && Math.max(x - previous.x, Math.abs(y - previous.y));
      if (!previous || apart >= MARK_GAP * this.#layout.unit) marks.push({ x, y, index });
      else if (series.score[index] > series.score[previous.index]) Object.assign(previous, { x, y, index });
    }
    return marks;
  }

  /** Faint lines that tie an anomaly's value to its score. */
  #stems(marks) {
    const context = this.#context;
    const { panels, axis } = this.#layout;
    context.strokeStyle = this.#colours.anomaly;
    context.globalAlpha = marks.length > 60 ? 0.14 : 0.28;
    context.lineWidth = this.#layout.unit;
    context.beginPath();
    for (const { x } of marks) {
      context.moveTo(x, panels[0].top);
      context.lineTo(x, axis);
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  #line(panel, { points, values, crowded }, ratio, colour, sparse) {
    const context = this.#context;
    const { left, unit } = this.#layout;
    const thickness = 1.4 * unit;
    context.strokeStyle = context.fillStyle = this.#colours[colour];
    context.lineWidth = thickness;
    context.lineJoin = "round";
    context.beginPath();
    if (crowded) {
      // A bar a column: much less to paint than the line, which goes up and down in every one of them.
      points.forEach((column, index) => {
        const before = points[index - 1];
        const x = left + column.at / ratio;
        let { low, high } = column;
        if (before && column.at === before.at + 1) {
          low = Math.min(low, before.last);
          high = Math.max(high, before.last);
        } else if (before) {
          context.moveTo(left + before.at / ratio, this.#y(panel, before.last));
          context.lineTo(x, this.#y(panel, column.first));
        }
        const top = this.#y(panel, high);
        context.fillRect(x - thickness / 2, top - thickness / 2, thickness, this.#y(panel, low) - top + thickness);
      });
      context.stroke();
      return;
    }
    points.forEach((column) => {
      const x = left + column.at / ratio;
      context.lineTo(x, this.#y(panel, column.first));
      if (column.low !== column.high) {
        context.lineTo(x, this.#y(panel, column.low));
        context.lineTo(x, this.#y(panel, column.high));
        context.lineTo(x, this.#y(panel, column.last));
      }
    });
    context.stroke();
    if (!sparse || values === this.#series.score) return;
    for (const column of points) this.#dot(left + column.at / ratio, this.#y(panel, column.last), 2 * this.#layout.unit);
  }

  #area(panel, { points }, ratio) {
    if (!points.length) return;
    const context = this.#context;
    const { left, panels } = this.#layout;
    const base = panels[panel].top + panels[panel].height;
    context.fillStyle = this.#colours.score;
    context.globalAlpha = 0.16;
    context.beginPath();
    context.moveTo(left + points[0].at / ratio, base);
    for (const column of points) {
      const x = left + column.at / ratio;
      context.lineTo(x, this.#y(panel, column.first));
      if (column.high > column.first) context.lineTo(x, this.#y(panel, column.high));
      if (column.last !== column.first) context.lineTo(x, this.#y(panel, column.last));
    }
    context.lineTo(left + points.at(-1).at / ratio, base);
    context.fill();
    context.globalAlpha = 1;
  }

  #threshold(series, { first, last }) {
    const context = this.#context;
    const panel = this.#layout.panels.length - 1;
    context.strokeStyle = this.#colours.threshold;
    context.lineWidth = 1.5 * this.#layout.unit;
    context.setLineDash([6 * this.#layout.unit, 4 * this.#layout.unit]);
    context.beginPath();
    const end = Math.min(series.last, last + 1);
    let drawn = null; // the last point of the path
    let left = null; // the last point that was left out since
    for (let index = Math.max(series.start, first - 1); index <= end; index++) {
      const value = series.threshold[index];
      if (!Number.isFinite(value)) {
        drawn = left = null;
        continue;
      }
      const x = this.#x(series.time[index]);
      const y = this.#y(panel, value);
      // Dashes are dear: no point that nobody would see.
      if (drawn && index < end && Math.abs(y - drawn.y) < 0.5) {
        left = { x, y };
        continue;
      }
      if (left) context.lineTo(left.x, left.y);
      if (drawn) context.lineTo(x, y);
      else context.moveTo(x, y);
      drawn = { x, y };
      left = null;
    }
    context.stroke();
    context.setLineDash([]);
  }

  #diamonds(series, marks) {
    const context = this.#context;
    const { panels, unit } = this.#layout;
    const size = (marks.length > 120 ? 3 : 4.5) * unit;
    const score = panels.length - 1;
    for (const { x, index } of marks) {
      series.values.forEach((values, panel) => {
        const y = this.#y(panel, values[index]);
        const expected = series.expected[panel][index];
        const apart = Number.isFinite(expected) ? this.#y(panel, expected) - y : 0;
        if (Math.abs(apart) > 8 * unit && marks.length <= 120) {
          context.strokeStyle = this.#colours.anomaly;
          context.fillStyle = this.#colours.card;
          context.lineWidth = 1.5 * unit;
          context.beginPath();
          context.arc(x, y + apart, 3.5 * unit, 0, 2 * Math.PI);
          context.fill();
          context.stroke();
        }
        this.#diamond(x, y, size);
      });
      this.#diamond(x, this.#y(score, series.score[index]), size - unit);
    }
  }

  #diamond(x, y, size) {
    const context = this.#context;
    context.fillStyle = this.#colours.anomaly;
    context.strokeStyle = this.#colours.card;
    context.lineWidth = this.#layout.unit;
    context.beginPath();
    context.moveTo(x, y - size);
    context.lineTo(x + size, y);
    context.lineTo(x, y + size);
    context.lineTo(x - size, y);
    context.closePath();
    context.fill();
    context.stroke();
  }

  #dot(x, y, radius) {
    this.#context.beginPath();
    this.#context.arc(x, y, radius, 0, 2 * Math.PI);
    this.#context.fill();
  }

  /** The newest reading. */
  #head(series) {
    const context = this.#context;
    const last = series.last;
    if (series.anomaly[last]) return;
    series.values.forEach((values, panel) => {
      const [x, y] = [Math.min(this.#x(series.time[last]), this.#layout.left + this.#layout.width), this.#y(panel, values[last])];
      context.fillStyle = this.#colours.value;
      context.globalAlpha = 0.25;
      this.#dot(x, y, 7 * this.#layout.unit);
      context.globalAlpha = 1;
      this.#dot(x, y, 3 * this.#layout.unit);
    });
  }

  #crosshair(series, index) {
    const context = this.#context;
    const { panels, axis, left, width } = this.#layout;
    const x = this.#x(series.time[index]);
    if (x < left - 1 || x > left + width + 1) {
      this.onHover(-1, 0, 0);
      return;
    }
    context.strokeStyle = this.#colours.ink;
    context.globalAlpha = 0.55;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.round(x) + 0.5, panels[0].top);
    context.lineTo(Math.round(x) + 0.5, axis);
    context.stroke();
    context.globalAlpha = 1;
    [...series.values, series.score].forEach((values, panel) => {
      if (!Number.isFinite(values[index])) return;
      const y = this.#y(panel, values[index]);
      context.fillStyle = this.#colours.card;
      this.#dot(x, y, 5 * this.#layout.unit);
      context.fillStyle = series.anomaly[index] ? this.#colours.anomaly : this.#colours[panel < series.values.length ? "value" : "score"];
      this.#dot(x, y, 3.5 * this.#layout.unit);
    });
    this.onHover(index, x, this.#y(0, series.values[0][index]));
  }
}
