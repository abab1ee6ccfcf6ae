/** The service in numbers, its shards, and the dead letters. */

import { byId, make, setText } from "./dom.js";
import { brief, bytes, count, duration, moment, rate } from "./format.js";
import { get } from "./service.js";

const LATE = 60_000; // ms behind the stream from which on it is worth a warning
const REMEMBERED = 120; // points of a spark line
const LETTERS = 100;

const rates = [];
const behinds = [];

/** Show an answer of /status. */
export function showStatus(status) {
  const { readings, shards, index } = status;
  setText(byId("stream"), status.stream);
  byId("stream").title = `Kinesis stream; Cutwater ${status.version}, up for ${duration(status.uptime_seconds * 1000)}`;
  const known = shards.map((shard) => shard.millis_behind_latest).filter((value) => value !== null);
  const behind = known.length ? Math.max(...known) : null;
  tile("rate", rate(status.readings_per_second));
  tile("behind", behind === null ? "–" : behind < 1000 ? "< 1 s" : duration(behind), behind > LATE ? "warn" : "");
  tile("scored", count(readings.scored));
  tile("learning", `${count(status.sensors.learning)} of ${count(status.sensors.seen)}`);
  byId("tile-learning").title = `${count(readings.learning)} readings while their sensor was learning`;
  tile("anomalies", count(readings.anomalies));
  tile("dead", count(readings.dead), readings.dead ? "warn" : "");
  byId("tile-dead").querySelector(".show-dead").hidden = !readings.dead;
  showTrouble(status.dead_letters);
  const dashboards = byId("dashboards");
  dashboards.hidden = !status.dashboards_url;
  if (status.dashboards_url) dashboards.href = status.dashboards_url;
  tile("index", index.healthy ? "healthy" : "failing", index.healthy ? "good" : "bad");
  const note = index.detail ?? `${index.kind === "sqlite" ? "SQLite" : "OpenSearch"}, ${count(readings.indexed)} documents`;
  setText(byId("tile-index").querySelector(".note"), note);
  byId("tile-index").title = note;
  spark("rate", rates, status.readings_per_second);
  spark("behind", behinds, behind ?? 0);
  showShards(shards);
}

/** Say it when all, or many, of the last minute's records could not be read, and what to do. */
function showTrouble(letters) {
  const box = byId("problem");
  const worth = letters?.latest && letters.last_minute > 0;
  box.hidden = !worth;
  if (!worth) return;
  const { code, reason, time } = letters.latest;
  const many = `${count(letters.last_minute)} ${letters.last_minute === 1 ? "record" : "records"}`;
  box.dataset.state = letters.everything ? "all" : "some";
  setText(box.querySelector("b"), letters.everything ? "Nothing can be scored." : "Some records cannot be scored.");
  const which = letters.everything ? `All ${many} of the last minute` : `${many} in the last minute`;
  const went = `${which} went to the dead letters. The latest, at ${brief(Date.parse(time))}: ${reason.replace(/\.$/, "")} (${code}).`;
  setText(box.querySelector("span"), `${went} What to do: ${letters.remedy}.`);
}

function tile(name, text, state = "") {
  const element = byId(`tile-${name}`);
  setText(element.querySelector("b"), text);
  element.dataset.state = state;
}

/** The last minutes of a number as a line. */
function spark(name, values, value) {
  values.push(value);
  if (values.length > REMEMBERED) values.shift();
  const top = Math.max(...values) || 1;
  const width = Math.max(30, values.length);
  const points = values.map((v, index) => `${index + width - values.length},${(28 - (v / top) * 26).toFixed(1)}`);
  const svg = byId(`tile-${name}`).querySelector(".spark");
  svg.setAttribute("viewBox", `0 0 ${width - 1} 29`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.firstElementChild.setAttribute("points", points.join(" "));
}

function showShards(shards) {
  const order = { reading: 0, waiting: 1, elsewhere: 2, closed: 3 };
  const sorted = [...shards].sort(
    (a, b) =>
      (order[a.state] ?? 1) - (order[b.state] ?? 1) ||
      Math.round((b.millis_behind_latest ?? 0) / 60_000) - Math.round((a.millis_behind_latest ?? 0) / 60_000) ||
      (a.shard < b.shard ? -1 : 1),
  );
  const body = byId("shards");
  while (body.rows.length > sorted.length) body.deleteRow(-1);
  sorted.forEach((shard, index) => {
    const row = body.rows[index] ?? addRow(body);
    const [name, state, behind, flight] = row.cells;
    setText(name, shard.shard.replace(/^shardId-0*(?=\d)/, "shard "));
    name.title = `${shard.shard}, committed up to ${shard.checkpoint ?? "nothing yet"}`;
    state.title = shard.owner ? `read by ${shard.owner}` : "";
    setText(state, shard.state);
    row.dataset.state = shard.millis_behind_latest > LATE ? "late" : shard.state;
    const late = shard.millis_behind_latest;
    setText(behind, late === null ? "–" : late < 1000 ? "< 1 s" : duration(late));
    setText(flight, bytes(shard.in_flight_bytes));
  });
  byId("shards").closest("table").hidden = !sorted.length;
  byId("no-shards").hidden = sorted.length > 0;
}

function addRow(body) {
  const row = body.insertRow();
  row.append(make("th", { scope: "row" }), make("td"), make("td"), make("td"));
  return row;
}

/** Open the list of dead letters. */
export async function showDeadLetters() {
  const dialog = byId("dead");
  const cell = (text, attributes = {}) => make("td", attributes, String(text));
  try {
    const { dead_letters: letters } = await get("dead-letter", { limit: LETTERS });
    byId("letters").replaceChildren(
      ...letters.map((letter) =>
        make(
          "tr",
          {},
          cell(moment(Date.parse(letter["@timestamp"]))),
          cell(letter.errorCode, { class: "code" }),
          cell(letter.errorMessage),
          cell(letter.shard, { class: "code" }),
          cell(letter.sequenceNumber, { class: "code" }),
        ),
      ),
    );
  } catch {
    byId("letters").replaceChildren(make("tr", {}, cell("The service does not answer.", { colspan: 5 })));
  }
  if (!dialog.open) dialog.showModal();
}
