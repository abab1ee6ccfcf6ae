/**
 * The page: what is chosen is in its address (`sensor`, `at` for a view pinned to a time, `readings` shown), so every
 * view can be linked, and the browser's buttons go back and forth between them.
 */

import { Chart } from "./chart.js";
import { byId, make, setText } from "./dom.js";
import { brief, count, duration, moment, number, score, span, zone } from "./format.js";
import { Latest } from "./latest.js";
import { Picker } from "./picker.js";
import { Series } from "./series.js";
import { around, Feed, get, url } from "./service.js";
import { showDeadLetters, showStatus } from "./status.js";

const POLL = 1000; // ms between two looks at the service
const LISTED = 60; // anomalies
const WINDOWS = [200, 1000, 5000, 20_000];
const USUAL = 1000;
const QUIET = 10_000; // ms without a reading after which the page says so
const WORDS_EVERY = 250; // ms between two changes of the numbers in words

const page = {
  sensor: "",
  at: null,
  readings: USUAL,
  features: [],
  needed: null,
  stream: "",
  connected: null,
  lostAt: 0,
  series: null,
  arrived: 0,
  load: null, // aborts the loading of a pinned view
};

const host = byId("chart");
const chart = new Chart(host, showReadout);
const picker = new Picker((sensor) => go({ sensor, at: null }));
const latest = new Latest(({ sensor, at }) => address({ sensor, at }), go);
const feed = new Feed({ onHistory: beginSeries, onScore: addScore });

// The address

function address({ sensor = page.sensor, at = page.at, readings = page.readings }) {
  return url(location.pathname, { sensor, at, readings: readings === USUAL ? null : readings });
}

function readAddress() {
  const query = new URLSearchParams(location.search);
  const at = query.get("at");
  const time = at === null ? NaN : /^-?\d+$/.test(at) ? Number(at) : Date.parse(at);
  const readings = Number(query.get("readings"));
  page.sensor = query.get("sensor") ?? "";
  page.at = Number.isFinite(time) ? time : null;
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
  picker.show(page.sensor);
  latest.select(page.sensor, page.at);
  document.title = page.sensor ? `${page.sensor} · Cutwater` : "Cutwater";
  const radio = document.querySelector(`input[name=readings][value="${page.readings}"]`);
  radio.checked = true;
  byId("live").hidden = byId("pinned").hidden = page.at === null;
  if (page.at !== null) setText(byId("pinned"), `Held at ${moment(page.at)}`);
  showConnection();
  byId("csv").hidden = !page.sensor;
  byId("csv").href = url("scores", { sensor: page.sensor, format: "csv", limit: 10_000 });
  if (page.series?.sensor !== page.sensor) beginSeries(null);
  if (!page.sensor || !page.features.length || document.hidden) return;
  if (page.at === null) feed.follow(page.sensor, page.readings);
  else pin();
}

async function pin() {
  const load = (page.load = new AbortController());
  try {
    const { scores, from, to } = await around(page.sensor, page.at, page.readings, load.signal);
    if (load.signal.aborted) return;
    page.series = seriesOf(scores, 4 * page.readings);
    chart.pin(page.series, from, to, page.at);
    showWords();
  } catch {
    if (!load.signal.aborted) lose();
  }
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
  showWords();
}

function addScore(score) {
  page.series.add(score);
  page.arrived = performance.now();
  chart.redraw();
}

/** Everything about the chosen sensor that is said in words. */
function showWords() {
  const series = page.series;
  const last = series.last;
  showEmpty();
  showState(last);
  showNow(last);
  const [from, to] = page.at === null ? [Math.max(series.start, series.size - page.readings), last] : chart.shown;
  let anomalies = 0;
  for (let index = from; index <= to; index++) anomalies += series.anomaly[index];
  const counted = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
  const found = counted(anomalies, "anomaly", "anomalies");
  const shown = to < from ? "" : `${counted(to - from + 1, "reading", "readings")}, ${found}`;
  setText(byId("range"), shown ? `${shown} · ${span(series.time[from], series.time[to])} · ${zone()}` : "");
  host.setAttribute("aria-label", shown ? `${page.sensor}: ${shown}. Arrow keys read single readings.` : "Chart, empty");
}

function showState(last) {
  const badge = byId("state");
  const series = page.series;
  if (last < 0) {
    badge.hidden = true;
    return;
  }
  badge.hidden = false;
  const seen = series.seen[last] + 1;
  const learning = series.learning[last] === 1;
  badge.dataset.state = learning ? "learning" : "ready";
  setText(badge, learning ? `Learning ${count(Math.min(seen, page.needed ?? seen))}${page.needed ? ` / ${count(page.needed)}` : ""}` : `Ready · ${count(seen)} readings seen`);
  badge.style.setProperty("--progress", learning && page.needed ? `${(100 * seen) / page.needed}%` : "100%");
}

function showNow(last) {
  const series = page.series;
  const box = byId("now");
  if (last < 0 || page.at !== null) {
    box.replaceChildren();
    return;
  }
  const quiet = performance.now() - page.arrived;
  const scored = !series.learning[last];
  const lines = page.features.map((feature, index) => [feature, number(series.values[index][last])]);
  if (scored) lines.push(["score", score(series.score[last])]);
  const wanted = lines.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  const list = make("dl", {}, ...wanted);
  const when = make("p", {}, quiet > QUIET ? `no reading for ${duration(quiet)}` : brief(series.time[last]));
  box.replaceChildren(list, when);
  box.dataset.state = quiet > QUIET ? "quiet" : "";
}

function showEmpty() {
  const box = byId("empty");
  const series = page.series;
  let reason = "";
  if (!page.sensor) reason = page.connected ? "none" : "loading";
  else if (series.loading) reason = "loading";
  else if (!series.length) reason = page.at === null ? "silent" : "forgotten";
  box.hidden = reason === "";
  host.hidden = !box.hidden;
  if (box.dataset.reason === reason + page.sensor) return;
  box.dataset.reason = reason + page.sensor;
  const say = (title, ...lines) => box.replaceChildren(make("strong", {}, title), ...lines.map((line) => make("p", {}, ...line)));
  if (reason === "none") {
    say("No readings yet", [`The service reads the stream ${page.stream}. Send it readings, for instance with`], [make("code", {}, "cutwater simulate")]);
  } else if (reason === "silent") {
    say("Nothing from this sensor yet", ["It shows here with its first reading. Press ", make("kbd", {}, "/"), " to choose another sensor."]);
  } else if (reason === "forgotten") {
    say("Nothing at that time", ["Neither the service's memory nor its index holds a score of this sensor then."]);
  } else if (reason === "loading") {
    say("Loading …");
  }
}

// The reading under the crosshair

function showReadout(index, x, y) {
  const box = byId("readout");
  box.hidden = index < 0;
  if (index < 0) return;
  const series = page.series;
  const anomaly = series.anomaly[index] === 1;
  const learning = series.learning[index] === 1;
  const rows = [];
  series.features.forEach((feature, at) => {
    rows.push([feature, number(series.values[at][index])]);
    const expected = number(series.expected[at][index]);
    if (anomaly && expected !== rows.at(-1)[1]) rows.push(["expected", expected]);
    if (series.features.length > 1 && !learning) rows.push(["share of score", score(series.attribution[at][index])]);
  });
  if (!learning) {
    rows.push(["score", score(series.score[index])], ["threshold", score(series.threshold[index])]);
    if (anomaly) rows.push(["grade", score(series.grade[index])]);
    rows.push(["confidence", score(series.confidence[index])]);
  }
  rows.push(["reading", `№ ${count(series.seen[index] + 1)}`]);
  const verdict = anomaly ? "Anomaly" : learning ? "Learning" : "Usual";
  box.dataset.state = verdict.toLowerCase();
  box.replaceChildren(
    make("p", {}, make("b", {}, verdict), ` ${moment(series.time[index])}`),
    make("dl", {}, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
  );
  const { offsetWidth: width, offsetHeight: height } = box;
  const gap = 14;
  const left = x + gap + width > host.clientWidth ? x - gap - width : x + gap;
  box.style.transform = `translate(${Math.round(Math.max(0, left))}px, ${Math.round(Math.max(0, Math.min(y - height / 2, host.clientHeight - height)))}px)`;
  host.setAttribute("aria-valuenow", String(index - series.start));
  host.setAttribute("aria-valuemin", "0");
  host.setAttribute("aria-valuemax", String(Math.max(0, series.length - 1)));
  host.setAttribute("aria-valuetext", `${verdict}, ${moment(series.time[index])}: ${rows.map((row) => row.join(" ")).join(", ")}`);
}

host.addEventListener("keydown", (event) => {
  const [first, last] = chart.shown;
  if (last < first) return;
  const now = chart.pointed < 0 ? last : chart.pointed;
  const moves = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - 20, PageDown: now + 20, Home: first, End: last };
  if (event.key in moves) {
    event.preventDefault();
    chart.point(Math.max(first, Math.min(last, moves[event.key])));
  } else if (event.key === "Enter" && chart.pointed >= 0) {
    go({ at: page.series.time[chart.pointed] });
  }
});
host.addEventListener("dblclick", () => {
  if (chart.pointed >= 0) go({ at: page.series.time[chart.pointed] });
});
host.addEventListener("blur", () => chart.point(null));

// The connection

function showConnection() {
  const pill = byId("connection");
  const state = page.connected === null ? "connecting" : !page.connected ? "lost" : page.at === null ? "live" : "held";
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
  const features = status.features;
  const changed = features.join() !== page.features.join();
  page.features = features;
  host.style.setProperty("--panels", features.length + 1);
  if (changed || again) open();
  else feed.ensure();
}

async function look() {
  let status;
  let found;
  try {
    [status, found] = await Promise.all([get("status"), get("scores", { anomalies: true, limit: LISTED })]);
    if (page.needed === null || !page.sensor) await lookForSensor();
  } catch {
    lose();
    return;
  }
  showStatus(status);
  regain(status);
  latest.show(found.scores, status.features);
  latest.select(page.sensor, page.at);
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

byId("theme").addEventListener("click", chooseTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.recolour());
byId("live").addEventListener("click", () => go({ at: null }));
byId("show-dead").addEventListener("click", showDeadLetters);
byId("window").addEventListener("change", (event) => go({ readings: Number(event.target.value) }));
addEventListener("popstate", open);
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement && event.target.type === "text";
  if (typing || event.ctrlKey || event.metaKey || event.altKey || byId("dead").open) return;
  if (event.key === "/") {
    event.preventDefault();
    picker.focus();
  } else if (event.key === "Escape" && page.at !== null) {
    go({ at: null });
  }
});

setInterval(() => {
  if (!document.hidden) showWords();
}, WORDS_EVERY);
open();
watch();
