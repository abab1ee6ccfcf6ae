// Search without a server: browsers start no worker from a file, so one runs in a hidden frame of this page instead.
window.IFrameWorker = class extends EventTarget {
  constructor(address) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    this.inside = frame.contentWindow;
    this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
    this.inside.importScripts = (...addresses) =>
      addresses.reduce((before, each) => before.then(() => this.load(each)), Promise.resolve());
    this.ready = this.load(new URL(address, document.baseURI).href);
  }

  load(address) {
    return new Promise((done, failed) => {
      const script = this.inside.document.createElement("script");
      Object.assign(script, { src: address, onload: done, onerror: failed });
      this.inside.document.body.append(script);
    });
  }

  postMessage(data) {
    this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
  }
};
if (location.protocol === "file:") window.Worker = window.IFrameWorker;
