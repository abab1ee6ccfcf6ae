/**
 * How hands move the chart: drag to select a span, shift and drag (or one finger) to move it, two fingers, a wheel with
 * Ctrl, or a wheel where the page has nothing to scroll, to zoom.
 */

const LEAST_DRAG = 6; // CSS pixels
const WHEEL = 0.0016; // zoom for each unit of a wheel

/** Calls of `target`: hover(x), leave(), band([x, x] or null), select(x, x), pan(pixels), zoom(factor, x). */
export function listen(host, target) {
  const pointers = new Map(); // x of each finger or button that is down
  let drag = null; // {x, mode}
  const place = (event) => event.clientX - host.getBoundingClientRect().left;
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return { distance: Math.max(10, Math.abs(a - b)), middle: (a + b) / 2 };
  };

  host.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button > 1) return;
    const x = place(event);
    pointers.set(event.pointerId, x);
    host.setPointerCapture(event.pointerId);
    const moves = event.pointerType === "touch" || event.shiftKey || event.button === 1;
    drag = pointers.size === 2 ? { mode: "pinch", ...spread() } : { mode: moves ? "pan" : "select", x, last: x };
    target.hover(x);
  });

  host.addEventListener("pointermove", (event) => {
    const x = place(event);
    if (!pointers.has(event.pointerId)) {
      target.hover(x);
      return;
    }
    pointers.set(event.pointerId, x);
    if (drag.mode === "pinch") {
      const now = spread();
      target.zoom(drag.distance / now.distance, now.middle);
      target.pan(drag.middle - now.middle);
      Object.assign(drag, now);
    } else if (Math.abs(x - drag.x) > LEAST_DRAG || drag.moved) {
      drag.moved = true;
      if (drag.mode === "pan") target.pan(drag.last - x);
      else target.band([drag.x, x]);
      drag.last = x;
    }
  });

  const end = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    target.band(null);
    if (event.type === "pointerup" && drag.mode === "select" && drag.moved) target.select(drag.x, place(event));
    const [rest] = pointers.values(); // after a pinch one finger may stay
    drag = rest === undefined ? null : { mode: "pan", x: rest, last: rest };
    if (event.type === "pointercancel") target.leave();
  };
  host.addEventListener("pointerup", end);
  host.addEventListener("pointercancel", end);
  host.addEventListener("pointerleave", () => {
    if (!pointers.size) target.leave();
  });

  host.addEventListener(
    "wheel",
    (event) => {
      const page = document.scrollingElement;
      const scrolls = page.scrollHeight > page.clientHeight + 1 || host.scrollHeight > host.clientHeight + 1;
      const across = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      const zooms = event.ctrlKey || event.metaKey || (!across && !scrolls);
      if (!zooms && !across) return;
      event.preventDefault();
      if (across) target.pan(event.deltaX || event.deltaY);
      else target.zoom(Math.exp(Math.max(-120, Math.min(120, event.deltaY)) * (event.ctrlKey ? 4 : 1) * WHEEL), place(event));
    },
    { passive: false },
  );
}
