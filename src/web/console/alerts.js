// The alert rules that hold, and what to do: the alert's section of docs/OPERATIONS.md, fetched when somebody asks for it.

import { clock } from "./charts.js";
import { byId, make } from "../web/elements.js";
import { t } from "../web/i18n.js";
import { at } from "../web/session.js";

const open = new Set(); // alerts whose section is shown
let runbook = null;
let shown = "";

/** The alerts that hold, firing ones first, those that wake somebody before the others. */
export const holding = (alerts) =>
  alerts.filter((alert) => alert.since).sort((a, b) => b.is_firing - a.is_firing || b.wakes - a.wakes || a.since.localeCompare(b.since));

export function renderAlerts(alerts, language) {
  const held = holding(alerts);
  const now = JSON.stringify([language, held, runbook !== null, [...open], alerts.length]);
  if (now === shown) return; // what did not change is not said again
  shown = now;
  const count = held.filter((alert) => alert.is_firing).length;
  const word = count === 0 ? t("alerts_none") : t(count === 1 ? "alerts_one" : "alerts_some", { count });
  byId("alerts-word").textContent = word;
  byId("alerts").className = held.some((alert) => alert.is_firing) ? "panel alarmed" : "panel";
  byId("alerts-list").replaceChildren(...held.map(entry));
  byId("alerts-watched").textContent = t("alerts_watched", { count: alerts.length });
}

export function forget() {
  open.clear();
  shown = "";
}

function entry(alert) {
  const look = alert.is_firing ? (alert.wakes ? "page" : "ticket") : "pending";
  const mark = make("span", { className: `mark ${look}` }, t(`alert_${look}`));
  const name = t(alert.name);
  const since = t("alert_since", { time: clock(alert.since) });
  const isOpen = open.has(alert.name);
  const more = make("button", { type: "button", className: "small" }, t("what_to_do"));
  more.setAttribute("aria-expanded", String(isOpen));
  more.setAttribute("aria-label", `${t("what_to_do")}: ${name}`);
  more.id = `more-${alert.name}`;
  more.onclick = () => toggle(alert.name);
  const title = make("div", {}, make("strong", {}, name), make("small", {}, `${alert.name} · ${since}`));
  return make("li", {}, make("div", { className: "alert" }, mark, title, more), isOpen ? make("div", { className: "runbook", lang: "en" }, section(alert.name)) : null);
}

let again = () => {};
export const onToggle = (render) => (again = render);

async function toggle(name) {
  if (!open.delete(name)) open.add(name);
  again();
  byId(`more-${name}`)?.focus();
  if (runbook !== null || !open.has(name)) return;
  try {
    const response = await fetch(at("/console/operations.md"), { credentials: "omit" });
    if (response.ok) runbook = await response.text();
  } catch {
    // Said in its place.
  }
  again();
  byId(`more-${name}`)?.focus();
}

/** One alert's section as elements: paragraphs, lists, commands. Markdown as far as the page uses it. */
function section(name) {
  const after = runbook?.split(`### ${name}\n`)[1];
  if (after === undefined) return make("p", {}, t("runbook_away", { name }));
  const lines = after.split(/\n##/)[0].trim().split("\n");
  const elements = [];
  let code = null;
  for (const line of lines) {
    if (line.startsWith("```")) {
      if (code) elements.push(make("pre", {}, code.join("\n")));
      code = code ? null : [];
    } else if (code) code.push(line);
    else if (/^\s*([-*]|\d+\.) /.test(line)) elements.push(make("p", { className: "item" }, inline(line.trim())));
    else if (line.trim() === "") elements.push(null);
    else if (elements.at(-1)?.tagName === "P") elements.at(-1).append(" ", ...inline(line.trim()));
    else elements.push(make("p", {}, inline(line)));
  }
  return elements;
}

function inline(line) {
  const text = line.replace(/\[([^\]]+)\]\([^)]*\)/g, "$1");
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`")) return make("code", {}, part.slice(1, -1));
    return part.startsWith("**") ? make("b", {}, part.slice(2, -2)) : part;
  });
}
