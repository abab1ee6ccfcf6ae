/** The list of the latest anomalies over all sensors. */

import { byId, make, setText } from "./dom.js";
import { brief, moment, number, score } from "./format.js";

const SPEAK_EVERY = 10_000; // ms between two announcements to a screen reader

export class Latest {
  #list = byId("latest");
  #nodes = new Map(); // by the document's identity
  #held = false;
  #waiting = null;
  #spoken = -SPEAK_EVERY;
  #newest = null;

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
    list.addEventListener("pointerenter", () => this.#hold(true));
    list.addEventListener("pointerleave", () => this.#hold(false));
  }

  /** Mark the entry that the chart shows. */
  select(sensor, at) {
    for (const { link } of this.#nodes.values()) {
      const chosen = link.dataset.sensor === sensor && Number(link.dataset.at) === at;
      if (chosen) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  /** Show documents, newest first. */
  show(documents, features) {
    if (this.#held) {
      this.#waiting = [documents, features];
      byId("held").hidden = documents.length === 0 || key(documents[0]) === this.#newest;
      return;
    }
    const first = this.#newest === null;
    const nodes = new Map();
    for (const document of documents) {
      const id = key(document);
      nodes.set(id, this.#nodes.get(id) ?? this.#entry(document, features, !first));
    }
    const wanted = [...nodes.values()].map((node) => node.item);
    this.#nodes = nodes;
    for (const item of [...this.#list.children]) if (!wanted.includes(item)) item.remove();
    wanted.forEach((item, index) => {
      if (this.#list.children[index] !== item) this.#list.insertBefore(item, this.#list.children[index] ?? null);
    });
    byId("no-latest").hidden = wanted.length > 0;
    const newest = documents.length ? key(documents[0]) : "";
    if (!first && newest && newest !== this.#newest) this.#speak(documents[0], features);
    this.#newest = newest;
  }

  #hold(held) {
    this.#held = held;
    byId("held").hidden = true;
    if (held || !this.#waiting) return;
    const waiting = this.#waiting;
    this.#waiting = null;
    this.show(...waiting);
  }

  #entry(document, features, fresh) {
    const since = document.silent_since; // of a sensor that has fallen silent
    const at = Date.parse(since ?? document["@timestamp"]);
    const sensor = document.sensor;
    const values = features.map((feature) => number(document[`feature_data_${feature}`]));
    const expected = features.map((feature) => number(document[`expected_values_${feature}`]));
    const instead = expected.join() === values.join() ? "" : make("small", {}, ` instead of ${expected.join(" · ")}`);
    const kind = document.anomaly_kind ?? "";
    const beside = document.is_anomaly ? instead : make("small", {}, ` ${kind}`); // no single value shows it
    const was = since ? ["silent since ", brief(at)] : [values.join(" · "), beside];
    const grade = make("span", { class: "grade", title: `grade ${score(document.anomaly_grade)}` }, make("i"));
    grade.firstChild.style.width = `${Math.round(100 * Math.min(1, Math.max(0.06, document.anomaly_grade)))}%`;
    const link = make(
      "a",
      { href: this.link({ sensor, at }), "data-sensor": sensor, "data-at": at, title: `${sensor}\n${moment(at)}\n${kind}` },
      make("div", {}, make("span", { class: "name" }, sensor), grade, score(document.anomaly_score)),
      make(
        "div",
        {},
        make("span", { class: "was" }, ...was),
        make("time", { datetime: document["@timestamp"] }, brief(Date.parse(document["@timestamp"]))),
      ),
    );
    return { item: make("li", { class: fresh ? "fresh" : null }, link), link };
  }

  #speak(document, features) {
    if (performance.now() - this.#spoken < SPEAK_EVERY) return;
    this.#spoken = performance.now();
    if (document.silent_since) {
      setText(byId("spoken"), `${document.sensor} has fallen silent.`);
      return;
    }
    const values = features.map((feature) => `${feature} ${number(document[`feature_data_${feature}`])}`).join(", ");
    setText(byId("spoken"), `Anomaly on ${document.sensor}: ${values}, score ${score(document.anomaly_score)}.`);
  }
}

/** A document's identity, the same after the service has started again. */
const key = (document) =>
  `${document.shard} ${document.sequence_number} ${document.sub_sequence_number} ${document.record_ordinal} ${document.sensor}`;
