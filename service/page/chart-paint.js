/** Draws the chart. A scene is {context, layout, colours, series, bins, units, x(time), y(panel, value), offset}. */

import { stretches } from "./chart-bins.js";
import { placed, shadeEpisodes, shadeGaps, shadeLearning, stroke } from "./chart-shades.js";
import { numbers, ticks, timeTicks } from "./format.js";

const MARK_GAP = 3; // units between two marks

/** Everything but the crosshair. `live` marks the newest reading. */
export function paint(scene, live) {
  const { context, layout, series, bins } = scene;
  const { left, width, em, room, axis, panels } = layout;
  const score = panels.length - 1;
  const learning = stretches(series, bins, (index) => series.learning[index]).at(-1);
  const marks = marksOf(scene);
  const within = (top, bottom, draw) => {
    context.save();
    context.beginPath();
    context.rect(0, top, left + width + em * 0.6, bottom - top);
    context.clip();
    draw();
    context.restore();
  };
  timeAxis(scene);
  within(0, room, () => {
    for (let index = 0; index < score; index++) {
      const { top, height } = placed(scene, index);
      if (top + height < 0 || top - 2 * em > room) continue;
      panel(scene, index, bins.traces[index], "value", marks, learning, live);
    }
  });
  if (layout.hidden) {
    context.fillStyle = scene.colours.grid;
    context.fillRect(left, Math.round(room), width, 1);
  }
  within(room, axis + 0.7 * em, () => panel(scene, score, bins.traces[score], "score", marks, learning, live));
}

/** The reading under the crosshair. */
export function crosshair(scene, index) {
  const { context, layout, colours, series } = scene;
  const { panels, axis, room, unit } = layout;
  const x = Math.round(scene.x(series.time[index])) + 0.5;
  stroke(scene, "ink", 1, 0.55, () => {
    context.moveTo(x, 0.5 * layout.em);
    context.lineTo(x, axis);
  });
  [...series.values, series.score].forEach((values, at) => {
    if (!Number.isFinite(values[index])) return;
    const y = scene.y(at, values[index]);
    if (at < panels.length - 1 && y > room) return;
    context.fillStyle = colours.card;
    dot(context, x, y, 5 * unit);
    context.fillStyle = series.anomaly[index] ? colours[severityColour(series.severity[index])] : colours[at < series.values.length ? "value" : "score"];
    dot(context, x, y, 3.5 * unit);
  });
}

/** The span that is being selected. */
export function band({ context, layout, colours }, [a, b]) {
  const from = Math.max(layout.left, Math.min(a, b));
  const to = Math.min(layout.left + layout.width, Math.max(a, b));
  context.fillStyle = colours.value;
  context.globalAlpha = 0.16;
  context.fillRect(from, 0, to - from, layout.axis);
  context.globalAlpha = 1;
  context.fillRect(from, 0, 1, layout.axis);
  context.fillRect(to, 0, 1, layout.axis);
}

/** Three colours for severities 0 to 100; alerts are above 70. */
export const severityColour = (severity) => (severity > 84 ? "high" : severity > 70 ? "medium" : "low");

function panel(scene, index, trace, colour, marks, learning, live) {
  const { context, layout, series, bins, units } = scene;
  const { left, em } = layout;
  const isScore = index === layout.panels.length - 1;
  const name = series.features[index];
  if (learning) shadeLearning(scene, index, learning, isScore);
  shadeEpisodes(scene, index);
  shadeGaps(scene, index);
  grid(scene, index);
  stems(scene, index, marks);
  if (isScore) area(scene, index, trace);
  else forecast(scene, index);
  line(scene, index, trace, colour, bins.sparse && !isScore);
  if (isScore) threshold(scene, index);
  for (const mark of marks) drawMark(scene, index, mark, isScore);
  if (live && !isScore) head(scene, index);
  const title = isScore ? "anomaly score" : units[name] ? `${name} (${units[name]})` : name;
  context.fillStyle = scene.colours.ink;
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillText(title, left, placed(scene, index).top - em * 0.55);
}

function grid(scene, index) {
  const { context, layout, colours, domains } = scene;
  const { left, width, em } = layout;
  const { height } = placed(scene, index);
  const [low, high] = domains[index];
  context.strokeStyle = colours.grid;
  context.lineWidth = 1;
  context.fillStyle = colours.muted;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const values = ticks(low, high, height / (em * 3));
  const labels = numbers(values);
  for (const [at, value] of values.entries()) {
    const y = Math.round(scene.y(index, value)) + 0.5;
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(left + width, y);
    context.stroke();
    context.fillText(labels[at], left - em * 0.7, y);
  }
}

function timeAxis(scene) {
  const { context, layout, colours, view } = scene;
  const { left, width, axis, em, right } = layout;
  context.fillStyle = colours.muted;
  context.strokeStyle = colours.muted;
  context.lineWidth = 1;
  context.textAlign = "center";
  context.textBaseline = "top";
  let free = -Infinity; // where the last label ends
  for (const { time, label } of timeTicks(view.from, view.to, width / (em * 8))) {
    const x = Math.round(scene.x(time)) + 0.5;
    context.beginPath();
    context.moveTo(x, axis);
    context.lineTo(x, axis + em * 0.35);
    context.stroke();
    const half = context.measureText(label).width / 2;
    const middle = Math.min(Math.max(x, left + half - em), right - half - 1);
    if (middle - half < free) continue;
    free = middle + half + em * 0.6;
    context.fillText(label, middle, axis + em * 0.6);
  }
  context.beginPath();
  context.moveTo(left, Math.round(axis) + 0.5);
  context.lineTo(left + width, Math.round(axis) + 0.5);
  context.stroke();
}

/** Anomalies to mark: of those that would lie upon each other an alert, or the severest. */
function marksOf(scene) {
  const { series, bins, layout } = scene;
  const marks = [];
  for (let index = bins.first; index <= bins.last; index++) {
    if (!series.anomaly[index]) continue;
    const mark = { x: scene.x(series.time[index]), index, alert: series.alert[index], severity: series.severity[index] };
    const previous = marks.at(-1);
    if (!previous || mark.x - previous.x >= MARK_GAP * layout.unit) marks.push(mark);
    else if (mark.alert > previous.alert || (mark.alert === previous.alert && mark.severity > previous.severity)) marks[marks.length - 1] = mark;
  }
  return marks;
}

/** Faint lines that tie an alert's values to its score. */
function stems(scene, index, marks) {
  const { context, layout } = scene;
  const { top, height } = placed(scene, index);
  const title = 1.9 * layout.em;
  for (const { x, alert, severity } of marks) {
    if (!alert) continue; // those of a whole episode would be a fence
    stroke(scene, severityColour(severity), layout.unit, 0.45, () => {
      context.moveTo(x, top - (index === 0 ? 0 : title));
      context.lineTo(x, top + height);
    });
  }
}

/** The interval that nine of ten readings were expected in, behind the values. */
function forecast(scene, panel) {
  const { context, layout, colours, series, bins } = scene;
  const [lower, upper] = [series.lower[panel], series.upper[panel]];
  const { top, height } = placed(scene, panel);
  const step = Math.max(1, Math.floor((bins.last - bins.first) / layout.width)); // a reading a pixel is enough
  context.save();
  context.beginPath();
  context.rect(layout.left, top, layout.width, height);
  context.clip();
  context.beginPath();
  let ends = []; // of the stretch that is being drawn, to go back on
  const close = () => {
    for (const [x, y] of ends.reverse()) context.lineTo(x, y);
    if (ends.length) context.closePath();
    ends = [];
  };
  for (let index = bins.first; index <= bins.last; index += step) {
    if (!Number.isFinite(lower[index]) || !Number.isFinite(upper[index])) {
      close();
      continue;
    }
    const x = scene.x(series.time[index]);
    if (ends.length) context.lineTo(x, scene.y(panel, upper[index]));
    else context.moveTo(x, scene.y(panel, upper[index]));
    ends.push([x, scene.y(panel, lower[index])]);
  }
  close();
  context.fillStyle = colours.value;
  context.globalAlpha = 0.12;
  context.fill();
  context.restore();
}

/** A diamond where the anomaly is: on the score, and on the value that is to blame; with what was expected instead. */
function drawMark(scene, panel, { x, index, alert, severity }, isScore) {
  const { context, layout, colours, series } = scene;
  const { unit } = layout;
  const colour = colours[severityColour(severity)];
  const size = (alert ? 5.5 : 3.5) * unit;
  if (isScore) {
    if (Number.isFinite(series.score[index])) diamond(context, x, scene.y(panel, series.score[index]), size, colour, colours.card);
    return;
  }
  const value = series.values[panel][index];
  if (panel !== series.blamed(index) || !Number.isFinite(value)) return;
  const y = scene.y(panel, value);
  const expected = series.expected[panel][index];
  const apart = Number.isFinite(expected) ? scene.y(panel, expected) - y : 0;
  if (alert && Math.abs(apart) > 8 * unit) {
    context.strokeStyle = colour;
    context.fillStyle = colours.card;
    context.lineWidth = 1.5 * unit;
    context.beginPath();
    context.arc(x, y + apart, 3.5 * unit, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
  diamond(context, x, y, size, colour, colours.card);
}

function line(scene, index, { points, crowded }, colour, dots) {
  const { context, layout, colours, bins } = scene;
  const { left, unit } = layout;
  const thickness = 1.4 * unit;
  const across = ({ at }) => left + at / bins.ratio;
  const y = (value) => scene.y(index, value);
  context.strokeStyle = context.fillStyle = colours[colour];
  context.lineWidth = thickness;
  context.lineJoin = "round";
  context.beginPath();
  points.forEach((column, place) => {
    const before = column.broken ? null : points[place - 1];
    const x = across(column);
    if (crowded) {
      // A bar a column: much less to paint than the line, which goes up and down in every one of them.
      let { low, high } = column;
      if (before && column.at === before.at + 1) {
        low = Math.min(low, before.last);
        high = Math.max(high, before.last);
      } else if (before) {
        context.moveTo(across(before), y(before.last));
        context.lineTo(x, y(column.first));
      }
      context.fillRect(x - thickness / 2, y(high) - thickness / 2, thickness, y(low) - y(high) + thickness);
      return;
    }
    if (before) context.lineTo(x, y(column.first));
    else context.moveTo(x, y(column.first));
    if (column.low !== column.high) {
      context.lineTo(x, y(column.low));
      context.lineTo(x, y(column.high));
      context.lineTo(x, y(column.last));
    }
  });
  context.stroke();
  points.forEach((column, place) => {
    const alone = column.broken && (points[place + 1]?.broken ?? true);
    if (dots || (alone && !crowded)) dot(context, across(column), y(column.last), 2 * unit);
  });
}

/** The area under the score. */
function area(scene, index, { points }) {
  const { context, layout, colours, bins } = scene;
  const { top, height } = placed(scene, index);
  const base = top + height;
  context.fillStyle = colours.score;
  context.globalAlpha = 0.16;
  context.beginPath();
  let previous = null;
  for (const column of points) {
    const x = layout.left + column.at / bins.ratio;
    if (column.broken) {
      if (previous !== null) context.lineTo(previous, base);
      context.moveTo(x, base);
    }
    context.lineTo(x, scene.y(index, column.first));
    if (column.high > column.first) context.lineTo(x, scene.y(index, column.high));
    if (column.last !== column.first) context.lineTo(x, scene.y(index, column.last));
    previous = x;
  }
  if (previous !== null) context.lineTo(previous, base);
  context.fill();
  context.globalAlpha = 1;
}

function threshold(scene, panel) {
  const { context, layout, series, bins } = scene;
  const { unit } = layout;
  const end = Math.min(series.last, bins.last + 1);
  context.setLineDash([6 * unit, 4 * unit]);
  stroke(scene, "threshold", 1.5 * unit, 1, () => {
    let drawn = null; // the last point of the path
    let skipped = null; // the last point that was left out since
    for (let index = Math.max(series.start, bins.first - 1); index <= end; index++) {
      const value = series.threshold[index];
      if (!Number.isFinite(value)) {
        drawn = skipped = null;
        continue;
      }
      const [x, y] = [scene.x(series.time[index]), scene.y(panel, value)];
      // Dashes are dear: no point that nobody would see.
      if (drawn && index < end && Math.abs(y - drawn.y) < 0.5) {
        skipped = { x, y };
        continue;
      }
      if (skipped) context.lineTo(skipped.x, skipped.y);
      if (drawn) context.lineTo(x, y);
      else context.moveTo(x, y);
      drawn = { x, y };
      skipped = null;
    }
  });
  context.setLineDash([]);
}

/** The newest reading. */
function head(scene, panel) {
  const { context, layout, colours, series } = scene;
  const last = series.last;
  const value = series.values[panel][last];
  if (series.anomaly[last] || !Number.isFinite(value)) return;
  const [x, y] = [Math.min(scene.x(series.time[last]), layout.left + layout.width), scene.y(panel, value)];
  context.fillStyle = colours.value;
  context.globalAlpha = 0.25;
  dot(context, x, y, 7 * layout.unit);
  context.globalAlpha = 1;
  dot(context, x, y, 3 * layout.unit);
}

function diamond(context, x, y, size, colour, edge) {
  context.fillStyle = colour;
  context.strokeStyle = edge;
  context.lineWidth = size / 5;
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.lineTo(x - size, y);
  context.closePath();
  context.fill();
  context.stroke();
}

function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
