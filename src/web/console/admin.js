// Administration beside the state of the service: which view is on the screen. Each view is fetched when it is first opened.

import { admin } from "./state.js";
import { byId, redraw, told } from "../web/elements.js";
import { t } from "../web/i18n.js";

const views = {
  organizations: () => import("./organizations.js"),
  clients: () => import("./clients.js"),
  noisy: () => import("./noisy.js"),
  offices: () => import("./offices.js"),
  pairings: () => import("./pairings.js"),
  requests: () => import("./requests.js"),
  orders: () => import("./orders.js"),
  persons: () => import("./persons.js"),
  log: () => import("./log.js"),
  accesses: () => import("./accesses.js"),
};
const buttons = () => document.querySelectorAll("[data-view]");
let turn = 0;

/** Opens a view; `subject` is what it is about. */
async function open(name, subject) {
  const own = ++turn;
  for (const one of buttons()) {
    if (one.dataset.view === name) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  const isState = name === "state";
  byId("figures").hidden = byId("range-line").hidden = !isState;
  byId("view").hidden = isState;
  byId("view-body").replaceChildren();
  if (isState) return;
  byId("view-title").textContent = t(`view_${name}`);
  byId("view-title").dataset.t = `view_${name}`;
  byId("view-title").focus();
  const module = await views[name]().catch(() => null);
  if (own !== turn) return;
  byId("view-body").append(...(module ? module.view(subject).flat().filter(Boolean) : [told("p", "network", { className: "message", role: "alert" })]));
}

/** Back to the state of the service, with nothing left of what was shown. */
export function closeViews() {
  Object.assign(admin, { session: null, snapshot: null });
  open("state");
}

export function wireViews() {
  admin.open = open;
  for (const one of buttons()) one.onclick = () => open(one.dataset.view);
}

export const redrawViews = redraw;
