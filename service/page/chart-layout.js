/** Where the panels of the chart lie: one for each value, and the score below, which is always in sight. */

const LEAST = 4.4; // em, height of a value's panel; if they do not fit, the values scroll

/** `em` is the size of the text; all other sizes are in CSS pixels. */
export function arrange(width, height, em, values) {
  const left = 4.4 * em;
  const axis = 2 * em;
  const title = 1.9 * em;
  const bottom = height - axis;
  const scoreHeight = Math.max(3.2 * em, (bottom - title) * (values === 1 ? 0.3 : values < 4 ? 0.24 : 0.18));
  const room = bottom - scoreHeight - title; // of the values
  const each = Math.max(LEAST * em, room / values);
  const panels = Array.from({ length: values }, (_, index) => ({ top: index * each + title, height: each - title }));
  panels.push({ top: bottom - scoreHeight, height: scoreHeight });
  return {
    em,
    unit: em / 12.5, // strokes and marks grow with the text, so that a wall shows them as well as a desk
    left,
    width: width - left - 1.1 * em,
    right: width,
    panels,
    room,
    hidden: Math.max(0, each * values - room), // of the values, below the edge
    axis: bottom,
  };
}
