/** What people say of the chosen sensor and of the episode that is looked at, and what was said before. */

import { send } from "./access.js";
import { byId, make } from "./dom.js";
import { brief, moment } from "./format.js";
import { get } from "./service.js";

const EVERY = 5000; // ms between two looks at what others said
const SHOWN = 20;
const VERBS = { acknowledge: "acknowledged", mute: "muted", normal: "called normal", missed: "called missed" };
const HOUR = 3_600_000;
const KEY = "cutwater.who";

export class Feedback {
  #list = byId("said");
  #who = byId("who");
  #looked = -EVERY;
  #sensor = "";

  /** `page` is the page's state; `subject()` is the episode that is looked at, {episode, since, until}, or null. */
  constructor(page, subject, onFailure) {
    this.page = page;
    this.subject = subject;
    this.onFailure = onFailure;
    try {
      this.#who.value = localStorage.getItem(KEY) ?? "";
    } catch {
      // Storage may be forbidden; then one says it at each visit.
    }
    this.#who.addEventListener("change", () => {
      try {
        localStorage.setItem(KEY, this.#who.value);
      } catch {
        // Then it is for this visit only.
      }
    });
    byId("acknowledge").addEventListener("click", () => this.#say({ action: "acknowledge", ...this.#episode() }));
    byId("normal").addEventListener("click", () => this.#say({ action: "normal", ...this.#episode() }));
    byId("missed").addEventListener("click", () => this.#say({ action: "missed", since: page.span.from, until: page.span.to }));
    byId("mute").addEventListener("change", (event) => {
      const hours = Number(event.target.value);
      event.target.value = "";
      this.#say({ action: "mute", until: hours ? Date.now() + hours * HOUR : null });
    });
  }

  #episode() {
    const { episode, since, until } = this.subject();
    return { episode_id: episode, since, until };
  }

  /** Show what can be said now, and look for what was said, at most every few seconds. */
  show() {
    const { sensor, role, span } = this.page;
    byId("feedback").hidden = !sensor;
    byId("say").hidden = role !== "operate";
    byId("acknowledge").disabled = byId("normal").disabled = !this.subject();
    byId("missed").disabled = !span;
    if (sensor !== this.#sensor) {
      this.#sensor = sensor;
      this.#list.replaceChildren();
      this.#looked = -EVERY;
    }
    if (sensor && role && performance.now() - this.#looked >= EVERY) this.#look();
  }

  async #look() {
    this.#looked = performance.now();
    const { sensor } = this.page;
    try {
      const { feedback } = await get("feedback", { sensor, limit: SHOWN });
      if (sensor === this.page.sensor) this.#list.replaceChildren(...feedback.map((word) => this.#item(word)));
    } catch {
      // The next look tells.
    }
  }

  #item(word) {
    const day = (text) => brief(Date.parse(text));
    const until = word.until ? `until ${day(word.until)}` : "until taken back";
    const text = `${word.who} ${VERBS[word.action]} (${word.action === "mute" ? until : day(word.since)})`;
    const when = make("time", { datetime: word.time, title: moment(Date.parse(word.time)) }, day(word.time));
    if (word.withdrawn) {
      const back = ` – taken back by ${word.withdrawn_by}, ${day(word.withdrawn)}`;
      return make("li", { class: "withdrawn" }, make("s", {}, text), " ", when, back);
    }
    const undo = make("button", { class: "link", type: "button" }, "Undo");
    undo.addEventListener("click", () => this.#send("DELETE", `feedback/${encodeURIComponent(word.id)}`, { who: this.#who.value.trim() }));
    return make("li", {}, text, " ", when, " ", ...(this.page.role === "operate" ? [undo] : []));
  }

  #say(said) {
    return this.#send("POST", "feedback", {}, { sensor: this.page.sensor, who: this.#who.value.trim() || null, ...said });
  }

  async #send(method, path, parameters, body = undefined) {
    try {
      await send(method, path, parameters, body);
      await this.#look();
    } catch {
      this.onFailure();
    }
  }
}
