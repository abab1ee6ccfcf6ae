/** What the page says of the chosen sensor in words: its state, its newest reading, and the one under the crosshair. */

import { severityBadge } from "./anomalies.js";
import { byId, make, setText } from "./dom.js";
import { brief, count, duration, estimate, measured, moment, score, span, zone } from "./format.js";

const QUIET = 10_000; // ms without a reading after which the page says so

const host = byId("chart");
const counted = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

/** Everything but the crosshair; `page` is the page's state. */
export function showWords(page, chart) {
  const series = page.series;
  const last = series.last;
  showEmpty(page);
  showState(page, last);
  showNow(page, last);
  const [from, to] = page.held ? chart.shown : [Math.max(series.start, series.size - page.readings), last];
  let anomalies = 0;
  for (let index = from; index <= to; index++) anomalies += series.anomaly[index];
  if (from <= to) anomalies += series.silences.filter(({ since }) => series.time[from] <= since && since <= series.time[to]).length;
  const found = counted(anomalies, "anomaly", "anomalies");
  const shown = to < from ? "" : `${counted(to - from + 1, "reading", "readings")}, ${found}`;
  const note = series.note ? ` · ${series.note}` : "";
  setText(byId("range"), shown ? `${shown} · ${span(series.time[from], series.time[to])} · ${zone()}${note}` : note);
  setText(byId("labels"), series.labels);
  host.setAttribute("aria-label", shown ? `${page.sensor}: ${shown}. Arrow keys read single readings.` : "Chart, empty");
}

function showState(page, last) {
  const badge = byId("state");
  const series = page.series;
  badge.hidden = last < 0;
  if (last < 0) return;
  const seen = series.seen[last] + 1;
  const learning = series.learning[last] === 1;
  badge.dataset.state = learning ? "learning" : "ready";
  const needed = page.needed ? ` / ${count(page.needed)}` : "";
  setText(badge, learning ? `Learning ${count(Math.min(seen, page.needed ?? seen))}${needed}` : `Ready · ${count(seen)} readings seen`);
  badge.style.setProperty("--progress", learning && page.needed ? `${(100 * seen) / page.needed}%` : "100%");
}

function showNow(page, last) {
  const series = page.series;
  const box = byId("now");
  if (last < 0 || page.held) {
    box.replaceChildren();
    return;
  }
  const quiet = performance.now() - page.arrived;
  const lines = page.features.map((feature, index) => [feature, measured(series.values[index][last], page.units[feature])]);
  if (Number.isFinite(series.score[last])) lines.push(["score", score(series.score[last])]);
  const list = make("dl", {}, ...lines.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  const when = make("p", {}, quiet > QUIET ? `no reading for ${duration(quiet)}` : brief(series.time[last]));
  box.replaceChildren(list, when);
  box.dataset.state = quiet > QUIET ? "quiet" : "";
}

function showEmpty(page) {
  const box = byId("empty");
  const series = page.series;
  let reason = "";
  if (!page.sensor) reason = !page.connected ? "loading" : page.indexTrouble ? "unindexed" : page.dead ? "unreadable" : "none";
  else if (series.loading) reason = "loading";
  else if (!series.length) reason = page.held ? "forgotten" : "silent";
  box.hidden = reason === "";
  host.hidden = !box.hidden;
  const about = reason + (reason === "unindexed" ? page.indexTrouble : page.sensor);
  if (box.dataset.reason === about) return;
  box.dataset.reason = about;
  const say = (title, ...lines) => box.replaceChildren(make("strong", {}, title), ...lines.map((line) => make("p", {}, ...line)));
  if (reason === "none") {
    say("No readings yet", [`The service reads the stream ${page.stream}. Send it readings, for instance with`], [make("code", {}, "cutwater simulate")]);
  } else if (reason === "unreadable") {
    say("No reading yet that can be scored", ["What came so far went to the dead letters; each says why."]);
  } else if (reason === "unindexed") {
    say("The index does not answer", [page.indexTrouble], ["No sensor is known yet. Nothing is lost: what cannot be indexed stays in the stream, and is read once the index answers."]);
  } else if (reason === "silent") {
    say("Nothing from this sensor yet", ["It shows here with its first reading. Press ", make("kbd", {}, "/"), " to choose another sensor."]);
  } else if (reason === "forgotten") {
    say("Nothing at that time", ["Neither the service's memory nor its index holds a score of this sensor then."]);
  } else if (reason === "loading") {
    say("Loading …");
  }
}

// An alert goes by what the last readings add up to, of which one reading's score says little.
const WHY_BELOW = "An alert by its last readings together, not by this one's score.";

/** What a reading is: "Alert: level shift", "Anomaly", "Learning" or "Usual"; the last before a silence is its alert. */
function verdictOf(series, index, silence) {
  const learning = series.learning[index] ? "Learning" : "";
  if (silence && !series.alert[index]) return "Alert: silent from here on";
  if (!series.anomaly[index]) return learning || "Usual";
  const kind = series.words[series.kind[index]];
  const verdict = `${series.alert[index] ? "Alert" : "Anomaly"}${kind ? `: ${kind}` : ""}`;
  return learning ? `${verdict} (while learning)` : verdict;
}

/** The reading under the crosshair, at (x, y) in the chart; index -1 for none. */
export function showReadout(page, index, x, y) {
  const box = byId("readout");
  box.hidden = index < 0;
  if (index < 0) return;
  const series = page.series;
  const silence = series.silenceAfter(index);
  const anomaly = series.anomaly[index] === 1 || silence !== undefined;
  const severity = Math.max(series.severity[index], silence?.severity ?? 0);
  const blamed = series.anomaly[index] && series.features.length > 1 ? series.blamed(index) : -1;
  const rows = [];
  series.features.forEach((feature, at) => {
    const unit = page.units[feature];
    const expected = series.expected[at][index];
    const differs = anomaly && Number.isFinite(expected) && expected !== series.values[at][index];
    rows.push([feature, measured(series.values[at][index], unit), at === blamed]);
    if (differs && (at === blamed || blamed < 0)) rows.push(["expected", unit ? `${estimate(expected)} ${unit}` : estimate(expected)]);
  });
  if (Number.isFinite(series.score[index])) rows.push(["score", score(series.score[index])]);
  if (Number.isFinite(series.threshold[index])) rows.push(["threshold", score(series.threshold[index])]);
  const unlikeItsScore = series.alert[index] === 1 && !(series.score[index] > series.threshold[index]);
  if (series.alert[index] && series.alertScore[index] > 0) rows.push(["alert score", score(series.alertScore[index])]);
  if (series.learning[index]) rows.push(["reading", `${count(series.seen[index] + 1)}${page.needed ? ` / ${count(page.needed)}` : ""}`]);
  const verdict = verdictOf(series, index, silence);
  box.dataset.state = anomaly ? "anomaly" : "";
  box.replaceChildren(
    make("p", {}, make("b", {}, verdict), anomaly ? severityBadge(severity) : ""),
    make("p", {}, moment(series.time[index])),
    make("dl", {}, ...rows.map(([name, value, blame]) => make("div", { class: blame ? "blamed" : null }, make("dt", {}, name), make("dd", {}, value)))),
    unlikeItsScore ? make("p", {}, WHY_BELOW) : "",
  );
  const { offsetWidth: width, offsetHeight: height } = box;
  const gap = 14;
  const left = x + gap + width > host.clientWidth ? x - gap - width : x + gap;
  const top = Math.max(0, Math.min(y - height / 2, host.clientHeight - height));
  box.style.transform = `translate(${Math.round(Math.max(0, left))}px, ${Math.round(top)}px)`;
  host.setAttribute("aria-valuenow", String(index - series.start));
  host.setAttribute("aria-valuemin", "0");
  host.setAttribute("aria-valuemax", String(Math.max(0, series.length - 1)));
  const severe = anomaly ? `, severity ${severity}` : "";
  host.setAttribute("aria-valuetext", `${verdict}${severe}, ${moment(series.time[index])}: ${rows.map(([name, value]) => `${name} ${value}`).join(", ")}`);
}
