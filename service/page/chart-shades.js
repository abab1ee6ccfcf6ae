/** What lies behind the lines of the chart: learning, episodes, and stretches without readings. */

import { stretches } from "./chart-bins.js";

/** A panel's place, scrolled. */
export function placed({ layout, offset }, index) {
  const { top, height } = layout.panels[index];
  return { top: index < layout.panels.length - 1 ? top - offset : top, height };
}

/** Draw a path in a colour. */
export function stroke({ context, colours }, colour, thickness, alpha, draw) {
  context.strokeStyle = colours[colour];
  context.lineWidth = thickness;
  context.globalAlpha = alpha;
  context.beginPath();
  draw();
  context.stroke();
  context.globalAlpha = 1;
}

/** A stretch of time in one panel; returns what of it shows. */
function shade(scene, index, from, to, colour, least = 0) {
  const { context, layout, colours } = scene;
  const { left, width } = layout;
  const { top, height } = placed(scene, index);
  const begin = Math.max(left, scene.x(from));
  const size = Math.max(least, Math.min(scene.x(to), left + width) - begin);
  if (size <= 0 || begin > left + width) return null;
  context.fillStyle = colours[colour];
  context.fillRect(begin, top, size, height);
  return { begin, size };
}

function words(scene, index, { begin, size }, ...choices) {
  const { context, layout, colours } = scene;
  const { top, height } = placed(scene, index);
  context.textAlign = "center";
  context.textBaseline = "middle";
  const text = choices.find((each) => context.measureText(each).width + layout.em < size);
  if (!text) return;
  context.fillStyle = colours.muted;
  context.fillText(text, begin + size / 2, top + height / 2);
}

export function shadeLearning(scene, index, { from, to }, isScore) {
  const shown = shade(scene, index, from, to, "learning");
  if (shown && isScore) words(scene, index, shown, "learning: scores are not sure yet", "learning");
}

export function shadeEpisodes(scene, index) {
  const { series, bins, layout } = scene;
  for (const { from, to } of stretches(series, bins, (at) => series.episode[at])) {
    shade(scene, index, from, to, "episode", 2 * layout.unit);
  }
}

/** Where nothing came: hatched, and named where the service noticed the silence. */
export function shadeGaps(scene, index) {
  const { series, bins } = scene;
  const { first, last, gap } = bins;
  for (let at = Math.max(first, series.start + 1); at <= Math.min(last + 1, series.last); at++) {
    const [from, to] = [series.time[at - 1], series.time[at]];
    if (to - from <= gap) continue;
    const silent = series.silences.some(({ since }) => since >= from && since < to);
    gapHere(scene, index, from, to, silent);
  }
  const end = series.time[series.last];
  const now = series.silences.findLast(({ since }) => since >= end);
  if (now && last === series.last) gapHere(scene, index, end, Math.max(now.time, scene.view.to), true);
}

function gapHere(scene, index, from, to, silent) {
  const shown = shade(scene, index, from, to, silent ? "episode" : "nothing");
  if (!shown) return;
  hatch(scene, index, shown);
  if (index === 0) words(scene, index, shown, silent ? "silent" : "no readings");
}

function hatch(scene, index, { begin, size }) {
  const { context, layout } = scene;
  const { top, height } = placed(scene, index);
  const step = 7 * layout.unit;
  context.save();
  context.beginPath();
  context.rect(begin, top, size, height);
  context.clip();
  stroke(scene, "line", 1, 1, () => {
    for (let x = Math.floor((begin - height) / step) * step; x < begin + size; x += step) {
      context.moveTo(x, top + height);
      context.lineTo(x + height, top);
    }
  });
  context.restore();
}
