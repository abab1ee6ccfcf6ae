/** A stream of events: the newest windows of a program, and the newest events. */

import { byId, make, setText } from "./dom.js";
import { brief, count, moment, number } from "./format.js";
import { get } from "./service.js";

const EVERY = 3000; // ms between two looks
const WINDOWS = 40;
const EVENTS = 12;
const TOLD = 5; // fields of an event
const ORIGIN = /^(@timestamp|stream|shard|.*sequence_number|record.*|schema_version|event\.(id|module|created|dataset|time_source|kind|original)|enrichment\..*|cloud\..*|aws\.cloudwatch\..*|log\..*)$/;

let looked = -Infinity;

/** Show what an answer of /status says of events; look for more now and then. */
export function showEvents(status) {
  const { events } = status;
  byId("events-card").hidden = !events;
  if (!events) return;
  const parts = [`${count(events.events)} ${events.format}`, `${count(events.windows)} windows`, `${count(events.keys)} keys`];
  if (events.dropped) parts.push(`${count(events.dropped)} dropped`);
  setText(byId("event-count"), parts.join(", "));
  offer(byId("program"), events.programs);
  if (performance.now() - looked < EVERY) return;
  looked = performance.now();
  refresh(byId("program").value);
}

/** Look again at once, as another program is chosen. */
export function chooseProgram() {
  looked = -Infinity;
}

function offer(select, names) {
  if (select.options.length === names.length) return;
  select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
  select.hidden = names.length < 2;
}

async function refresh(program) {
  try {
    if (program) {
      const { windows } = await get("windows", { program, limit: WINDOWS });
      const shown = windows.slice(0, WINDOWS).map(windowRow);
      byId("windows").replaceChildren(...shown);
      byId("windows").closest("table").hidden = !shown.length;
      byId("no-windows").hidden = shown.length > 0;
    }
    const { events } = await get("events", { limit: EVENTS });
    byId("events").replaceChildren(...events.map(eventRow));
  } catch {
    // The service or its index is away: the page says so elsewhere.
  }
}

function windowRow(window) {
  const measures = Object.entries(window.measures)
    .filter(([name]) => !/_(sum|count)$/.test(name))
    .map(([name, value]) => `${name} ${number(value)}`);
  const start = Date.parse(window.start);
  return make(
    "tr",
    { "data-empty": window.events === 0 },
    make("td", { title: `${moment(start)} to ${moment(Date.parse(window.end))}` }, brief(start)),
    make("th", { scope: "row", title: window.key }, window.key.replaceAll("|", " · ") || "all"),
    make("td", {}, measures.join(", ")),
  );
}

function eventRow(event) {
  const told = Object.entries(event)
    .filter(([name, value]) => !ORIGIN.test(name) && value !== null && typeof value !== "object")
    .slice(0, TOLD)
    .map(([name, value]) => `${name.split(".").slice(-2).join(".")} ${value}`);
  const time = Date.parse(event["@timestamp"]);
  return make("tr", {}, make("td", { title: moment(time) }, brief(time)), make("td", { title: told.join(", ") }, told.join(", ")));
}
