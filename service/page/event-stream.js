/** Server-sent events over fetch, because a browser's own EventSource cannot send a token. */

import { request } from "./access.js";

export class EventStream {
  #abort = new AbortController();
  #listeners = new Map();
  onopen = () => {};
  onerror = () => {};

  constructor(path) {
    this.#run(path);
  }

  /** `listener({data})` for each event of a type. */
  addEventListener(type, listener) {
    this.#listeners.set(type, listener);
  }

  close() {
    this.#abort.abort();
  }

  async #run(path) {
    const { signal } = this.#abort;
    try {
      const response = await request(path, { live: true, signal, headers: { Accept: "text/event-stream" } });
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
      this.onopen();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`${path}: ended`);
        const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
        rest = blocks.pop();
        blocks.forEach((block) => this.#tell(block));
      }
    } catch {
      if (!signal.aborted) this.onerror();
    }
  }

  /** One event: lines of `name: value`; a line that begins with a colon keeps the connection alive. */
  #tell(block) {
    let type = "message";
    const data = [];
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      const value = line.slice(colon + 1).replace(/^ /, "");
      if (line.startsWith("event:")) type = value;
      else if (line.startsWith("data:")) data.push(value);
    }
    if (data.length) this.#listeners.get(type)?.({ data: data.join("\n") });
  }
}
