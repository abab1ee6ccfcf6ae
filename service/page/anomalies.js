/** The list of anomalies over all sensors: an entry for each episode, filtered and sorted as one likes. */

import { severityColour } from "./chart-paint.js";
import { byId, make, setText } from "./dom.js";
import { brief, count, duration, estimate, measured, moment } from "./format.js";

const SPEAK_EVERY = 10_000; // ms between two announcements to a screen reader
const KEPT = 3000; // anomalies
const SHOWN = 100; // entries

export class Anomalies {
  #list = byId("anomalies");
  #search = byId("anomaly-search");
  #kind = byId("anomaly-kind");
  #alerts = byId("anomaly-alerts");
  #sort = byId("anomaly-sort");
  #documents = new Map(); // by id
  #nodes = new Map(); // {item, link, text} by episode
  #fresh = false; // whether entries that come now are new
  #held = false;
  #waiting = false;
  #spoken = -SPEAK_EVERY;
  #chosen = { sensor: "", at: null };
  features = [];
  units = {};

  /** `link({sensor, at})` is an entry's address; `onChoose({sensor, at})` goes there without loading the page. */
  constructor(link, onChoose) {
    this.link = link;
    const list = this.#list;
    list.addEventListener("click", (event) => {
      const entry = event.target.closest("a");
      if (!entry || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      onChoose({ sensor: entry.dataset.sensor, at: Number(entry.dataset.at) });
    });
    // What one points at must not move away from under the pointer.
    list.addEventListener("pointerenter", (event) => this.#hold(event.pointerType === "mouse"));
    list.addEventListener("pointerleave", () => this.#hold(false));
    for (const control of [this.#search, this.#kind, this.#alerts, this.#sort]) {
      control.addEventListener("input", () => this.#show());
    }
  }

  /** Whether one of these is known already, so that nothing was missed since the last time. */
  knows(documents) {
    return documents.some((document) => this.#documents.has(document["event.id"]));
  }

  /** Take in documents of anomalies, in any order. */
  add(documents) {
    const added = documents.filter((document) => !this.#documents.has(document["event.id"]));
    if (added.length) {
      for (const document of added) this.#documents.set(document["event.id"], document);
      this.#forget();
      this.#offerKinds();
      this.#show();
      if (this.#fresh) this.#speak(added.reduce((a, b) => (b.severity > a.severity ? b : a)));
    }
    this.#fresh = true;
    this.#showEmpty();
  }

  /** Mark the entry that the chart shows. */
  select(sensor, at) {
    this.#chosen = { sensor, at };
    for (const { link, from, to } of this.#nodes.values()) {
      const chosen = at !== null && link.dataset.sensor === sensor && (Number(link.dataset.at) === at || (from <= at && at <= to));
      if (chosen) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  #forget() {
    if (this.#documents.size <= KEPT) return;
    const oldest = [...this.#documents.values()].sort(newestFirst).slice(KEPT);
    for (const document of oldest) this.#documents.delete(document["event.id"]);
  }

  #offerKinds() {
    const kinds = [...new Set([...this.#documents.values()].map(kindOf))].sort();
    const known = [...this.#kind.options].slice(1).map((option) => option.value);
    if (kinds.every((kind) => known.includes(kind))) return;
    const chosen = this.#kind.value;
    this.#kind.replaceChildren(this.#kind.options[0], ...kinds.map((kind) => make("option", { value: kind }, kind)));
    this.#kind.value = chosen;
  }

  #hold(held) {
    this.#held = held;
    byId("held").hidden = true;
    if (!held && this.#waiting) this.#show();
  }

  #show() {
    if (this.#held) {
      this.#waiting = true;
      byId("held").hidden = false;
      return;
    }
    this.#waiting = false;
    const episodes = [...group(this.#documents.values())].filter((episode) => this.#wanted(episode));
    const bySeverity = this.#sort.value === "severity";
    episodes.sort((a, b) => (bySeverity && b.severity - a.severity) || b.last - a.last);
    const nodes = new Map();
    for (const episode of episodes.slice(0, SHOWN)) {
      const known = this.#nodes.get(episode.id);
      const same = known && known.count === episode.count;
      nodes.set(episode.id, same ? known : { ...this.#entry(episode, this.#fresh && !known), count: episode.count });
    }
    this.#nodes = nodes;
    const items = [...nodes.values()].map((node) => node.item);
    const wanted = new Set(items);
    for (const item of [...this.#list.children]) if (!wanted.has(item)) item.remove();
    items.forEach((item, index) => {
      if (this.#list.children[index] !== item) this.#list.insertBefore(item, this.#list.children[index] ?? null);
    });
    this.select(this.#chosen.sensor, this.#chosen.at);
    const shown = episodes.length > SHOWN ? `${SHOWN} of ${count(episodes.length)}` : count(episodes.length);
    setText(byId("anomaly-count"), this.#documents.size ? shown : "");
    this.#showEmpty();
  }

  #showEmpty() {
    const filtered = this.#documents.size > 0;
    byId("no-anomalies").hidden = this.#list.children.length > 0;
    setText(byId("no-anomalies"), filtered ? "None like that among the latest." : "None yet. Each shows here as it happens.");
  }

  #wanted({ sensor, kind, alerts, first }) {
    if (this.#alerts.checked && !alerts) return false;
    if (this.#kind.value && kind !== this.#kind.value) return false;
    const text = this.#search.value.trim().toLowerCase();
    if (!text) return true;
    const labels = Object.keys(first).filter((name) => name.startsWith("labels.")).map((name) => first[name]);
    return [sensor, kind, ...labels].some((word) => word.toLowerCase().includes(text));
  }

  #entry(episode, fresh) {
    const { sensor, first, last, worst, kind, severity, alerts } = episode;
    const since = worst.silent_since; // of a sensor that has fallen silent
    const at = Date.parse(since ?? worst["@timestamp"]);
    const colour = severityColour(severity);
    const verdict = make("span", { class: "verdict" }, alerts ? "Alert: " : "Anomaly: ", kind);
    const while_ = worst.state === "learning" ? " while learning" : "";
    const lasted = last - Date.parse(first["@timestamp"]);
    const many = episode.count > 1 ? `${count(episode.count)} anomalies in ${duration(lasted)}` : "";
    const link = make(
      "a",
      { href: this.link({ sensor, at }), "data-sensor": sensor, "data-at": at, title: `${sensor}\n${moment(at)}\n${kind}, severity ${severity}` },
      make("div", {}, make("span", { class: "name" }, sensor), severityBadge(severity)),
      make("div", {}, verdict, make("time", { datetime: worst["@timestamp"] }, brief(last))),
      make("div", { class: "was" }, since ? `no reading since ${brief(at)}` : this.#blame(worst) + while_),
      many ? make("div", { class: "was" }, many) : "",
    );
    const item = make("li", { class: fresh ? "fresh" : null, "data-severity": colour }, link);
    return { item, link, from: Date.parse(first["@timestamp"]), to: last };
  }

  /** The value that is to blame, and what was expected instead. */
  #blame(document) {
    const share = (feature) => document[`relevant_attribution_${feature}`] ?? 0;
    const feature = this.features.reduce((best, each) => (share(each) > share(best) ? each : best), this.features[0]);
    if (feature === undefined) return "";
    const [value, expected] = [document[`feature_data_${feature}`], document[`expected_values_${feature}`]];
    const unit = this.units[feature];
    const said = `${feature} ${measured(value, unit)}`;
    return expected === value ? said : `${said} instead of ${estimate(expected)}`;
  }

  #speak(document) {
    if (performance.now() - this.#spoken < SPEAK_EVERY) return;
    this.#spoken = performance.now();
    const what = document.silent_since ? "silent" : `${kindOf(document)}, ${this.#blame(document)}`;
    setText(byId("spoken"), `${document.alert ? "Alert" : "Anomaly"} on ${document.sensor}: ${what}, severity ${document.severity}.`);
  }
}

export const severityBadge = (severity) =>
  make("span", { class: "severity", "data-severity": severityColour(severity), title: `severity ${severity} of 100` }, String(severity));

const kindOf = (document) => document.episode_kind ?? document.anomaly_kind ?? "anomaly";

const newestFirst = (a, b) => (a["@timestamp"] < b["@timestamp"] ? 1 : -1);

/** Episodes: {id, sensor, first and worst document, last (ms), kind, severity, alerts, count}; what belongs to none is its own. */
function group(documents) {
  const found = new Map();
  for (const document of documents) {
    const id = document.episode_id ?? document["event.id"];
    const time = Date.parse(document["@timestamp"]);
    const episode = found.get(id);
    if (!episode) {
      const { sensor, severity } = document;
      found.set(id, { id, sensor, first: document, worst: document, last: time, kind: kindOf(document), severity, alerts: document.alert ? 1 : 0, count: 1 });
      continue;
    }
    episode.count++;
    episode.alerts += document.alert ? 1 : 0;
    if (time >= episode.last) {
      episode.last = time;
      episode.kind = kindOf(document); // an episode's first reading cannot know what it turns out to be
    }
    if (document["@timestamp"] < episode.first["@timestamp"]) episode.first = document;
    if (document.severity > episode.severity) {
      episode.severity = document.severity;
      episode.worst = document;
    }
  }
  return found.values();
}
