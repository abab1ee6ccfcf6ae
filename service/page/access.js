/**
 * Requests with the token, if the service wants one: asked for once, kept for as long as this tab is open.
 */

import { make } from "./dom.js";

const KEY = "cutwater.token";
const TIMEOUT_MS = 10_000; // ms until a request counts as lost

let token = remembered();
let asking = null; // while the dialog is open

function remembered() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // storage may be forbidden; then it is asked for at each load
  }
}

/** The headers that carry the token. */
export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

/**
 * Fetch a path; where the answer is that a token is needed, ask for one and fetch again.
 *
 * A request counts as lost after ten seconds, but for a `live` one: its answer has no end.
 */
export async function request(path, { signal, live = false, ...options } = {}) {
  for (;;) {
    const used = token;
    const signals = [signal, live ? null : AbortSignal.timeout(TIMEOUT_MS)].filter(Boolean);
    const headers = { ...options.headers, ...authorization() };
    const response = await fetch(path, { cache: "no-store", ...options, headers, signal: AbortSignal.any(signals) });
    if (response.status !== 401) return response;
    if (used === token) await ask(used !== "");
  }
}

/** Change something; throws on anything but success. */
export async function send(method, path, parameters, body = undefined) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  const options = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const response = await request(query.size ? `${path}?${query}` : path, { method, ...options });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** Follow a link that needs the token: a browser sends it with no link of its own. */
export async function follow(link) {
  const response = await request(link.href);
  if (!response.ok) throw new Error(`${link.href}: ${response.status}`);
  const address = URL.createObjectURL(await response.blob());
  const name = /filename="?([^";]+)/.exec(response.headers.get("content-disposition") ?? "")?.[1];
  if (link.hasAttribute("download")) make("a", { href: address, download: link.download || name || "scores" }).click();
  else location.assign(address);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Let all links with the attribute `data-token` carry it, if there is one. */
export function followLinks(onFailure) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-token]");
    if (!link || !token) return;
    event.preventDefault();
    follow(link).catch(onFailure);
  });
}

/** Ask for the token; of several that need it at once, all wait for one answer. */
function ask(wrong) {
  asking ??= new Promise((resolve) => {
    const field = make("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
    const dialog = make(
      "dialog",
      { id: "access", "aria-labelledby": "access-title" },
      make(
        "form",
        { method: "dialog" },
        make("h2", { id: "access-title" }, "Token"),
        make("p", { role: "alert" }, wrong ? "That is not a token of this service." : ""),
        make("label", { for: "token" }, "The service asks for its token (api_token or api_read_token)."),
        field,
        make("button", { class: "primary" }, "Open"),
      ),
    );
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => {
      token = field.value.trim();
      try {
        sessionStorage.setItem(KEY, token);
      } catch {
        // Then it is for this load only.
      }
      dialog.remove();
      asking = null;
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}
