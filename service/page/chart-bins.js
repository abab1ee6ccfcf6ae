/** From readings to what is drawn of them: never more than four points a pixel column, and the range of each axis. */

const CROWDED = 3; // readings in a pixel column from which on a line is drawn as bars

/** The lowest, highest, first and last value of each panel in each device pixel column, and what else shows there. */
export function bin(series, [first, last], { from, to }, cssWidth, ratio) {
  const width = Math.max(1, Math.round(cssWidth * ratio));
  const scale = (width - 1) / (to - from);
  const gap = series.gapBetween(first, last);
  const traces = [...series.values, series.score].map((values) => {
    const trace = { values, low: Infinity, high: -Infinity, points: [] };
    let column = null;
    let broken = true; // whether nothing connects the next reading with the one before
    // One reading beyond each edge, so that lines run to the border.
    const begin = Math.max(series.start, first - 1);
    for (let index = begin; index <= Math.min(series.last, last + 1); index++) {
      const value = values[index];
      if (!Number.isFinite(value)) {
        broken = true;
        continue;
      }
      if (index > begin && series.time[index] - series.time[index - 1] > gap) broken = true;
      const at = Math.round((series.time[index] - from) * scale);
      if (index >= first && index <= last) {
        if (value < trace.low) trace.low = value;
        if (value > trace.high) trace.high = value;
      }
      if (column === null || column.at !== at) {
        column = { at, first: value, low: value, high: value, last: value, broken };
        trace.points.push(column);
      } else {
        if (value < column.low) column.low = value;
        if (value > column.high) column.high = value;
        column.last = value;
      }
      broken = false;
    }
    trace.crowded = last - first > CROWDED * trace.points.length;
    return trace;
  });
  const sparse = (last - first + 1) * 9 < cssWidth;
  return { traces, first, last, ratio, sparse, gap };
}

/** [low, high] of each panel's axis; the score's begins at 0 and holds the threshold. */
export function ranges(series, { traces, first, last }) {
  const found = traces.map(({ low, high }) => {
    if (low > high) return [0, 1];
    const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  });
  let top = Math.max(0, traces.at(-1).high);
  for (let index = first; index <= last; index++) if (series.threshold[index] > top) top = series.threshold[index];
  found[found.length - 1] = [0, top * 1.12 || 1];
  return found;
}

/** Stretches of shown readings with `value(index)` not 0, as [from, to, value] in times. */
export function stretches(series, { first, last }, value) {
  const found = [];
  for (let index = first; index <= last; index++) {
    const here = value(index);
    if (!here) continue;
    const open = found.at(-1);
    if (open && open.value === here && open.index === index - 1) {
      open.to = series.time[index];
      open.index = index;
    } else {
      found.push({ from: series.time[index], to: series.time[index], value: here, index });
    }
  }
  return found;
}
