/** The choice of a time range: a span before the newest reading, or from when to when. */

import { byId } from "./dom.js";

/** Calls `onSpan(from, to)` with times in ms; `newest()` and `view()` say what there is to begin with. */
export function offerSpans({ newest, view, onSpan }) {
  const details = byId("span");
  const [from, to] = [byId("span-from"), byId("span-to")];
  const close = () => {
    details.open = false;
    details.querySelector("summary").focus();
  };
  details.addEventListener("toggle", () => {
    const now = view();
    if (!details.open || !now) return;
    from.value = local(now.from);
    to.value = local(now.to);
    from.setCustomValidity("");
  });
  byId("span-presets").addEventListener("click", (event) => {
    const seconds = Number(event.target.dataset.seconds);
    const end = newest();
    if (!seconds || end === null) return;
    close();
    onSpan(end - 1000 * seconds, end);
  });
  byId("span-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const [begin, end] = [Date.parse(from.value), Date.parse(to.value)];
    from.setCustomValidity(end > begin ? "" : "The range must begin before it ends.");
    if (!(end > begin)) {
      from.reportValidity();
      return;
    }
    close();
    onSpan(begin, end);
  });
  from.addEventListener("input", () => from.setCustomValidity(""));
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    event.stopPropagation();
    close();
  });
  document.addEventListener("pointerdown", (event) => {
    if (details.open && !details.contains(event.target)) details.open = false;
  });
}

/** A time as a field for local times holds it, to the second. */
function local(time) {
  const shifted = new Date(time - 60_000 * new Date(time).getTimezoneOffset());
  return shifted.toISOString().slice(0, 19);
}
