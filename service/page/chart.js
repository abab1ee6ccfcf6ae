/**
 * A canvas with a panel for each value of a reading and one for the score below, on one time axis.
 *
 * However many readings come, it draws once an animation frame, and never more than the first, lowest, highest and last
 * reading of a pixel column: that is what a line through all of them would paint.
 */

import { bin, ranges } from "./chart-bins.js";
import { listen } from "./chart-gestures.js";
import { arrange } from "./chart-layout.js";
import { band, crosshair, paint } from "./chart-paint.js";
import { placed } from "./chart-shades.js";

const EASE = 110; // ms in which the axes cover 63 % of the way to where they should be
const SHORTEST = 50; // ms that a view may be zoomed in to
const LONGEST = 40 * 365 * 86_400_000;
const COLOURS = [
  ...["ink", "muted", "grid", "line", "card", "value", "score", "threshold", "learning"],
  ...["low", "medium", "high", "episode", "nothing"],
];

export class Chart {
  #host;
  #canvas = document.createElement("canvas");
  #spacer = document.createElement("div");
  #context = this.#canvas.getContext("2d");
  #colours = {};
  #series = null;
  #fixed = null; // {from, to} of a view that is held
  #count = 1000; // readings in a live view
  #view = null; // {from, to} as drawn
  #domains = []; // [low, high] of each panel as drawn
  #frame = 0;
  #drawn = 0;
  #settled = true;
  #pointer = null; // CSS pixels from the left
  #marker = null; // a time
  #band = null; // [x, x] that is being selected
  #layout = null;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  units = {};

  /**
   * Calls `onHover(index, x, y)` whenever the reading under the crosshair may have changed (index -1 for none), and
   * `onSpan(from, to)` when someone has moved or zoomed the view.
   */
  constructor(host, { onHover, onSpan }) {
    this.#host = host;
    this.onHover = onHover;
    this.onSpan = onSpan;
    this.#canvas.setAttribute("aria-hidden", "true");
    host.append(this.#canvas, this.#spacer);
    new ResizeObserver(() => this.redraw()).observe(host);
    host.addEventListener("scroll", () => this.redraw());
    listen(host, {
      hover: (x) => this.#point(x),
      leave: () => this.point(null),
      band: (span) => {
        this.#band = span;
        this.redraw();
      },
      select: (a, b) => this.#span(this.#timeAt(Math.min(a, b)), this.#timeAt(Math.max(a, b))),
      pan: (pixels) => this.pan(pixels / this.#layout.width),
      zoom: (factor, x) => this.zoom(factor, this.#timeAt(x)),
    });
    this.recolour();
  }

  /** Show the newest `count` readings, moving on as they come. */
  follow(series, count) {
    this.#reset(series);
    this.#fixed = null;
    this.#count = count;
  }

  /** Show a fixed span, with a mark at a time unless it is null. */
  hold(series, from, to, marker) {
    this.#reset(series);
    this.#fixed = { from, to };
    this.#marker = marker;
  }

  /** Move the view by a part of its width. */
  pan(part) {
    if (!this.#view) return;
    const { from, to } = this.#view;
    this.#span(from + part * (to - from), to + part * (to - from));
  }

  /** Make the view `factor` times as long, around a time or the crosshair, or the middle. */
  zoom(factor, centre = null) {
    if (!this.#view) return;
    const { from, to } = this.#view;
    const pointed = this.pointed;
    const at = centre ?? (pointed >= 0 ? this.#series.time[pointed] : (from + to) / 2);
    const length = Math.max(SHORTEST, Math.min(LONGEST, (to - from) * factor));
    const share = (at - from) / (to - from);
    this.#span(at - share * length, at + (1 - share) * length);
  }

  #span(from, to) {
    if (!(to - from >= SHORTEST)) return;
    this.#fixed = { from, to };
    this.redraw();
    this.onSpan(from, to);
  }

  #reset(series) {
    if (this.#series !== series && this.#fixed === null) this.#view = null;
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
    if (!this.#series?.length || !this.#layout || !this.#view) return -1;
    const found = this.#pointer !== null ? this.#series.nearest(this.#timeAt(this.#pointer)) : this.#marker === null ? -1 : this.#series.nearest(this.#marker);
    if (found < 0) return -1;
    const time = this.#series.time[found];
    return time < this.#view.from - 1 || time > this.#view.to + 1 ? -1 : found;
  }

  /** [first, last] index of what is shown. */
  get shown() {
    if (!this.#series || !this.#view) return [0, -1];
    return [this.#series.before(this.#view.from), this.#series.after(this.#view.to) - 1];
  }

  /** {from, to} of what is shown, null before anything is. */
  get view() {
    return this.#view;
  }

  #point(x) {
    this.#pointer = x;
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
    const style = getComputedStyle(this.#host);
    const em = parseFloat(style.fontSize);
    context.font = `${em}px ${style.fontFamily}`;
    this.#layout = arrange(clientWidth, clientHeight, em, series.features.length);
    this.#spacer.style.height = `${this.#layout.hidden}px`;
    this.#moveView(share);
    const bins = bin(series, this.shown, this.#view, this.#layout.width, ratio);
    this.#moveDomains(ranges(series, bins), share);
    const scene = {
      context,
      layout: this.#layout,
      colours: this.#colours,
      series,
      bins,
      units: this.units,
      view: this.#view,
      domains: this.#domains,
      offset: this.#host.scrollTop,
      x: (time) => this.#x(time),
      y: (panel, value) => {
        const { top, height } = placed(scene, panel);
        const [low, high] = this.#domains[panel];
        return top + height - ((value - low) / (high - low)) * height;
      },
    };
    paint(scene, this.#fixed === null);
    if (this.#band) band(scene, this.#band);
    const pointed = this.#band ? -1 : this.pointed;
    if (pointed >= 0) {
      crosshair(scene, pointed);
      const value = series.values[series.blamed(pointed)][pointed];
      this.onHover(pointed, this.#x(series.time[pointed]), Number.isFinite(value) ? scene.y(series.blamed(pointed), value) : 0);
    } else {
      this.onHover(-1, 0, 0);
    }
    if (!this.#settled) this.redraw();
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

  #moveDomains(targets, share) {
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
}
