/**
 * The page: what is chosen is in its address (`sensor`, `at` for a moment to look at, `from` and `to` for a span of
 * time, `readings` shown live), so every view can be linked, and the browser's buttons go back and forth between them.
 */

import { followLinks } from "./access.js";
import { Anomalies } from "./anomalies.js";
import { Chart } from "./chart.js";
import { byId, setText } from "./dom.js";
import { chooseProgram, showEvents } from "./events.js";
import { Feedback } from "./feedback.js";
import { brief, moment } from "./format.js";
import { Picker } from "./picker.js";
import { Series } from "./series.js";
import { anomalyNextTo, around, Feed, get, url, within } from "./service.js";
import { offerSpans } from "./span.js";
import { showDeadLetters, showStatus } from "./status.js";
import { showReadout, showWords } from "./words.js";

const POLL = 1000; // ms between two looks at the service
const LISTED = 60; // anomalies asked for at each look
const BEGUN_WITH = 1000; // anomalies asked for at first
const WINDOWS = [200, 1000, 5000, 20_000];
const USUAL = 1000;
const MOST = 20_000; // readings of a span that are loaded
const WORDS_EVERY = 250; // ms between two changes of the numbers in words
const SETTLED = 250; // ms without a gesture after which a moved view is loaded

const page = {
  sensor: "",
  at: null, // ms, a moment to look at
  span: null, // {from, to}
  readings: USUAL,
  features: [],
  units: {},
  needed: null,
  stream: "",
  role: "", // what we may do: read or operate
  dead: 0, // letters
  indexTrouble: null, // why the index does not take documents
  connected: null,
  lostAt: 0,
  series: null,
  arrived: 0,
  load: null, // aborts the loading of a held view
  get held() {
    return this.at !== null || this.span !== null;
  },
};

const host = byId("chart");
const chart = new Chart(host, {
  onHover: (index, x, y) => showReadout(page, index, x, y),
  onSpan: moved,
});
const picker = new Picker((sensor) => go({ sensor, at: null, span: null }));
const anomalies = new Anomalies(({ sensor, at }) => address({ sensor, at, span: null }), ({ sensor, at }) => go({ sensor, at, span: null }));
const feed = new Feed({ onHistory: beginSeries, onScore: addScore });

const feedback = new Feedback(page, () => (page.at === null || page.series?.loading ? null : (page.series?.episodeAt(page.at) ?? null)), lose);

// The address

function address({ sensor = page.sensor, at = page.at, span = page.span, readings = page.readings }) {
  const { from = null, to = null } = span ?? {};
  return url(location.pathname, { sensor, at, from, to, readings: readings === USUAL ? null : readings });
}

function readAddress() {
  const query = new URLSearchParams(location.search);
  const time = (name) => {
    const text = query.get(name);
    const found = text === null ? NaN : /^-?\d+$/.test(text) ? Number(text) : Date.parse(text);
    return Number.isFinite(found) ? found : null;
  };
  const readings = Number(query.get("readings"));
  const [from, to] = [time("from"), time("to")];
  page.sensor = query.get("sensor") ?? "";
  page.at = time("at");
  page.span = from !== null && to !== null && from < to ? { from, to } : null;
  page.readings = WINDOWS.includes(readings) ? readings : USUAL;
}

function go(where) {
  const to = address(where);
  if (to !== location.pathname + location.search) history.pushState(null, "", to);
  open();
}

// What is shown

/** Load what the address says. */
function open() {
  readAddress();
  page.load?.abort();
  feed.close();
  showChoice();
  if (page.series?.sensor !== page.sensor) beginSeries(null);
  if (!page.sensor || !page.features.length || document.hidden) return;
  if (page.held) hold();
  else feed.follow(page.sensor, page.readings);
}

/** Everything that says what is chosen. */
function showChoice() {
  picker.show(page.sensor);
  anomalies.select(page.sensor, page.at);
  document.title = page.sensor ? `${page.sensor} · Cutwater` : "Cutwater";
  document.querySelector(`input[name=readings][value="${page.readings}"]`).checked = true;
  byId("live").hidden = byId("pinned").hidden = !page.held;
  if (page.held) setText(byId("pinned"), page.at !== null ? `Held at ${brief(page.at)}` : "Held");
  byId("pinned").title = page.at !== null ? moment(page.at) : "";
  byId("window").hidden = page.held;
  byId("tools").hidden = !page.sensor;
  byId("csv").hidden = !page.sensor;
  byId("csv").href = url("scores", { sensor: page.sensor, format: "csv", limit: 10_000, since: page.span?.from, until: page.span?.to });
  showConnection();
}

/** Load a held view and show it. */
async function hold() {
  const load = (page.load = new AbortController());
  const { sensor, at, span } = page;
  try {
    if (!span) {
      const { scores, from, to, historyLost } = await around(sensor, at, page.readings, load.signal);
      if (load.signal.aborted) return;
      page.series = seriesOf(scores, 4 * page.readings);
      page.series.covers = { from, to };
      noteLost(historyLost);
      chart.hold(page.series, from, to, at);
    } else {
      if (!covered(span)) {
        const half = (span.to - span.from) / 2; // beside, so that small moves load nothing
        const until = span.to + half;
        const { scores, from, historyLost } = await within(sensor, Math.round(span.from - half), Math.round(until), MOST, load.signal);
        if (load.signal.aborted) return;
        page.series = seriesOf(scores, MOST);
        page.series.covers = { from, to: until };
        noteLost(historyLost);
      }
      chart.hold(page.series, span.from, span.to, at);
    }
    anomalies.select(page.sensor, page.at);
    showWords(page, chart);
  } catch {
    if (!load.signal.aborted) lose();
  }
}

function noteLost(lost) {
  page.series.note = lost ? "the index is away: older readings are missing" : "";
}

/** Whether all that is known of a span is in the series. */
function covered(span) {
  const { series } = page;
  const known = series?.sensor === page.sensor && !series.loading ? series.covers : null;
  return known && known.from <= span.from && span.to <= known.to;
}

let settling = 0;

/** Someone moved or zoomed the chart: the view is held, and loaded once the hand rests. */
function moved(from, to) {
  if (!page.series || page.series.loading) return;
  const wasHeld = page.held;
  if (page.series.live) {
    feed.close();
    page.series.live = false;
    page.series.covers = { from: page.series.time[page.series.start], to: page.series.time[page.series.last] };
  }
  page.span = { from: Math.round(from), to: Math.round(to) };
  const to_ = address({});
  if (wasHeld) history.replaceState(null, "", to_);
  else history.pushState(null, "", to_);
  showChoice();
  clearTimeout(settling);
  settling = setTimeout(open, SETTLED);
}

function seriesOf(scores, capacity) {
  const series = new Series(page.features, capacity);
  series.sensor = page.sensor;
  for (const score of scores) series.add(score);
  return series;
}

/** Start over with a history; null while it is being loaded. */
function beginSeries(scores) {
  // Some more than are shown: the axis takes a moment to move on.
  const series = seriesOf(scores ?? [], Math.ceil(1.5 * page.readings));
  // After a reconnection the service may have forgotten what the page still knows.
  if (scores && page.series?.sensor === page.sensor && page.series.live) series.precede(page.series);
  series.loading = scores === null;
  series.live = true;
  page.series = series;
  page.arrived = performance.now();
  chart.follow(series, page.readings);
  showWords(page, chart);
}

function addScore(score) {
  page.series.add(score);
  page.arrived = performance.now();
  chart.redraw();
}

/** Go to the anomaly before or after what is looked at, of another episode. */
async function step(direction) {
  const { series } = page;
  if (!page.sensor || !series) return;
  const pointed = chart.pointed;
  const edge = series.length ? series.time[series.last] + 1 : 8.64e15;
  const time = pointed >= 0 ? series.time[pointed] : (page.at ?? (page.span ? (page.span.from + page.span.to) / 2 : edge));
  const episode = pointed >= 0 ? series.words[series.episode[pointed]] : null;
  try {
    const found = await anomalyNextTo(page.sensor, Math.round(time), direction, episode || null);
    if (!found) {
      say(`No ${direction < 0 ? "earlier" : "later"} anomaly of ${page.sensor}.`);
      return;
    }
    const at = Date.parse(found.silent_since ?? found["@timestamp"]);
    const half = page.span ? (page.span.to - page.span.from) / 2 : 0;
    go({ at, span: page.span && { from: Math.round(at - half), to: Math.round(at + half) } });
  } catch {
    lose();
  }
}

/** A word in passing, for eyes and ears. */
function say(text) {
  setText(byId("spoken"), text);
  setText(byId("hint"), text);
  setTimeout(() => byId("hint").textContent === text && setText(byId("hint"), ""), 4000);
}

// The connection

function showConnection() {
  const pill = byId("connection");
  const state = page.connected === null ? "connecting" : !page.connected ? "lost" : page.held ? "held" : "live";
  pill.dataset.state = state;
  setText(pill, { connecting: "Connecting", lost: "Connection lost", live: "Live", held: "Held" }[state]);
}

function lose() {
  if (page.connected !== false) page.lostAt = Date.now();
  page.connected = false;
  showConnection();
  byId("lost").hidden = false;
  setText(byId("lost"), `No answer from the service since ${brief(page.lostAt)}. What you see is from then; the page tries again every second.`);
  document.body.dataset.connection = "lost";
}

function regain(status) {
  const again = page.connected === false;
  page.connected = true;
  byId("lost").hidden = true;
  delete document.body.dataset.connection;
  showConnection();
  page.stream = status.stream;
  page.role = status.role;
  page.dead = status.dead_letters.count;
  page.indexTrouble = status.index.detail;
  const { features } = status;
  const changed = features.join() !== page.features.join();
  page.features = anomalies.features = features;
  page.units = chart.units = anomalies.units = status.units ?? {};
  if (changed || again) open();
  else feed.ensure();
}

let listed = false; // whether the list has begun with what there was before

async function look() {
  let status;
  let found;
  try {
    const few = { anomalies: true, limit: LISTED, history: false };
    [status, found] = await Promise.all([get("status"), get("scores", few)]);
    const missed = found.scores.length === LISTED && !anomalies.knows(found.scores);
    if (!listed || missed) found = await get("scores", { ...few, limit: BEGUN_WITH, history: true });
    listed = true;
    if (page.needed === null || !page.sensor) await lookForSensor();
  } catch {
    lose();
    return;
  }
  showStatus(status);
  showEvents(status);
  regain(status);
  anomalies.add(found.scores);
}

/** How many readings a sensor learns from; and, if none is chosen, the sensor with the latest anomaly. */
async function lookForSensor() {
  const { sensors } = await get("sensors", { sort: "last_anomaly", limit: 1 });
  if (!sensors.length) return;
  page.needed = sensors[0].needed;
  if (page.sensor) return;
  history.replaceState(null, "", address({ sensor: sensors[0].sensor }));
  open();
}

/** Look at the service once a second while someone can see it; a hidden page asks for nothing. */
async function watch() {
  for (;;) {
    if (document.hidden) {
      feed.close();
      await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
      if (document.hidden) continue;
      open();
    }
    await look();
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

// Buttons and keys

host.addEventListener("keydown", (event) => {
  const [first, last] = chart.shown;
  if (last < first) return;
  const now = chart.pointed < 0 ? last : chart.pointed;
  const moves = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - 20, PageDown: now + 20, Home: first, End: last };
  if (event.shiftKey && event.key.startsWith("Arrow")) {
    event.preventDefault();
    chart.pan(event.key === "ArrowLeft" ? -0.25 : 0.25);
  } else if (event.key in moves) {
    event.preventDefault();
    chart.point(Math.max(first, Math.min(last, moves[event.key])));
  } else if (event.key === "Enter" && chart.pointed >= 0) {
    go({ at: page.series.time[chart.pointed], span: null });
  }
});
host.addEventListener("dblclick", () => go({ at: null, span: null }));
host.addEventListener("blur", () => chart.point(null));

function chooseTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("cutwater.theme", next);
  } catch {
    // Then it is for this visit only.
  }
  chart.recolour();
}

offerSpans({
  newest: () => (page.series?.length ? page.series.time[page.series.last] : null),
  view: () => chart.view,
  onSpan: (from, to) => go({ at: null, span: { from: Math.round(from), to: Math.round(to) } }),
});
const keys = {
  "+": () => chart.zoom(0.5),
  "=": () => chart.zoom(0.5),
  "-": () => chart.zoom(2),
  p: () => step(-1),
  n: () => step(1),
  "/": () => picker.focus(),
  Escape: () => page.held && go({ at: null, span: null }),
};
byId("program").addEventListener("change", chooseProgram);
byId("theme").addEventListener("click", chooseTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.recolour());
byId("live").addEventListener("click", keys.Escape);
byId("previous").addEventListener("click", keys.p);
byId("next").addEventListener("click", keys.n);
byId("zoom-in").addEventListener("click", keys["+"]);
byId("zoom-out").addEventListener("click", keys["-"]);
for (const button of document.querySelectorAll(".show-dead")) button.addEventListener("click", showDeadLetters);
byId("window").addEventListener("change", (event) => go({ at: null, span: null, readings: Number(event.target.value) }));
addEventListener("popstate", open);
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=radio], [type=checkbox]), select");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || byId("dead").open) return;
  if (!(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});

followLinks(lose);
setInterval(() => {
  if (document.hidden) return;
  showWords(page, chart);
  feedback.show();
}, WORDS_EVERY);
open();
watch();
