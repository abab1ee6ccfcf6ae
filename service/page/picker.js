/** The search for a sensor: a combobox whose list the service filters, so that ten thousand names never load at once. */

import { severityBadge } from "./anomalies.js";
import { byId, make, setText } from "./dom.js";
import { count, number } from "./format.js";
import { get } from "./service.js";

const PAUSE = 150; // ms without a keystroke before asking
const PAGE = 50;

export class Picker {
  #root = byId("picker");
  #input = byId("sensor");
  #popup = this.#root.querySelector(".popup");
  #list = byId("options");
  #sort = byId("sensor-sort");
  #count = this.#root.querySelector(".count");
  #chosen = "";
  #sensors = [];
  #total = 0;
  #active = -1;
  #timer = 0;
  #abort = null;

  /** Calls `onChoose(name)`. */
  constructor(onChoose) {
    this.onChoose = onChoose;
    const input = this.#input;
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => this.#open());
    input.addEventListener("input", () => this.#later());
    input.addEventListener("keydown", (event) => this.#key(event));
    this.#root.addEventListener("focusout", (event) => {
      if (!this.#root.contains(event.relatedTarget)) this.#close();
    });
    this.#popup.addEventListener("pointerdown", (event) => {
      if (event.target !== this.#sort) event.preventDefault(); // keeps the focus in the input
    });
    this.#sort.addEventListener("change", () => {
      input.focus();
      this.#search();
    });
    this.#list.addEventListener("click", (event) => this.#choose([...this.#list.children].indexOf(event.target.closest("li"))));
    this.#list.addEventListener("scroll", () => {
      const { scrollTop, clientHeight, scrollHeight } = this.#list;
      if (scrollTop + clientHeight > scrollHeight - 200) this.#more();
    });
  }

  /** Show the chosen sensor's name. */
  show(name) {
    this.#chosen = name;
    if (this.#popup.hidden) this.#input.value = name;
    this.#input.title = name;
  }

  focus() {
    this.#input.focus();
    this.#open();
  }

  #open() {
    if (!this.#popup.hidden) return;
    this.#popup.hidden = false;
    this.#input.setAttribute("aria-expanded", "true");
    this.#search();
  }

  #close() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#popup.hidden = true;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
    this.#input.value = this.#chosen;
  }

  #later() {
    this.#popup.hidden = false;
    this.#input.setAttribute("aria-expanded", "true");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#search(), PAUSE);
  }

  async #search() {
    // Opened without typing, it lists those with the latest anomalies first; the chosen name is no search.
    const search = this.#input.value === this.#chosen ? "" : this.#input.value.trim();
    const query = { search, limit: PAGE, sort: this.#sort.value };
    const found = await this.#ask(query);
    if (!found) return;
    this.#sensors = [];
    this.#list.replaceChildren();
    this.#list.scrollTop = 0;
    this.#add(found, query);
    this.#activate(search && this.#sensors.length ? 0 : -1);
  }

  async #more() {
    if (this.#sensors.length >= this.#total || this.query.pending) return;
    const query = { ...this.query, offset: this.#sensors.length };
    this.query.pending = true;
    const found = await this.#ask(query);
    if (found) this.#add(found, query);
  }

  async #ask(query) {
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    try {
      const found = await get("sensors", query, abort.signal);
      return abort.signal.aborted ? null : found;
    } catch {
      if (!abort.signal.aborted) setText(this.#count, "The service does not answer.");
      return null;
    }
  }

  #add({ total, sensors }, query) {
    this.query = query;
    this.#total = total;
    const from = this.#sensors.length;
    this.#sensors.push(...sensors);
    this.#list.append(...sensors.map((sensor, index) => option(sensor, from + index, sensor.sensor === this.#chosen)));
    const shown = this.#sensors.length;
    const word = total === 1 ? "sensor" : "sensors";
    if (total === 0) setText(this.#count, this.#input.value ? "No sensor has this in its name." : "No sensor has sent anything yet.");
    else setText(this.#count, shown < total ? `${count(total)} sensors, ${count(shown)} shown: type to narrow down` : `${count(total)} ${word}`);
  }

  #activate(index) {
    this.#list.children[this.#active]?.removeAttribute("data-active");
    this.#active = index;
    const item = this.#list.children[index];
    if (!item) {
      this.#input.removeAttribute("aria-activedescendant");
      return;
    }
    item.setAttribute("data-active", "");
    item.scrollIntoView({ block: "nearest" });
    this.#input.setAttribute("aria-activedescendant", item.id);
  }

  #choose(index) {
    const sensor = this.#sensors[index];
    if (!sensor) return;
    this.#chosen = sensor.sensor;
    this.#close();
    this.#input.blur();
    this.onChoose(sensor.sensor);
  }

  #key(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in moves) {
      event.preventDefault();
      if (this.#popup.hidden) this.#open();
      else this.#activate(Math.max(0, Math.min(this.#active + moves[event.key], this.#sensors.length - 1)));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.#popup.hidden) this.#open();
      else this.#choose(this.#active >= 0 ? this.#active : 0);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.#close();
      this.#input.blur();
    }
  }
}

const counted = (n) => `${count(n)} ${n === 1 ? "anomaly" : "anomalies"}`;

function option(sensor, index, chosen) {
  const values = Object.values(sensor.last?.values ?? {}).map(number).join(" · ");
  const learning = sensor.state === "learning";
  const state = learning ? `learning ${count(sensor.readings_seen)} / ${count(sensor.needed)}` : values;
  return make(
    "li",
    { role: "option", id: `option-${index}`, "aria-selected": chosen ? "true" : "false", title: sensor.sensor },
    make("span", { class: "name" }, sensor.sensor),
    sensor.severity ? severityBadge(sensor.severity) : "",
    sensor.anomalies ? make("span", { class: "count-anomalies" }, counted(sensor.anomalies)) : "",
    make("span", { class: "last" }, state),
  );
}
