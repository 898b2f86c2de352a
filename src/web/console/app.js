// The console: ask every two seconds, show. Session and figures are in this file's variables and gone with the
// page. Where no answer comes, it says since when, keeps what it knew in grey, and asks on.

import { closeViews, redrawViews, wireViews } from "./admin.js";
import { holding, forget, onToggle, renderAlerts } from "./alerts.js";
import { Chart, clock, duration, short } from "./charts.js";
import { nodeName, renderFacts, renderNodes, renderShares, renderTiles, verdicts } from "./panels.js";
import { Series, read } from "./series.js";
import { focusEntry, left, renderEntry, wireEntry } from "./sign_in.js";
import { admin } from "./state.js";
import { byId } from "../web/elements.js";
import { browserLanguage, haveTexts, language, otherLanguage, setLanguage, t } from "../web/i18n.js";
import { Refusal } from "../web/session.js";

const everyMs = 2_000;
const answerMs = 5_000;
const linesMax = 6;

let session = null;
let personName = "";
let series = new Series();
let snapshot = null;
let failure = null; // {kind, since}
let answeredAt = 0;
let asked = new Set(); // nodes whose past was asked for
let timer = 0;

const perMinute = (value) => `${short(value)}/min`;
const charts = {
  checks: new Chart("checks"),
  latency: new Chart("latency", { format: duration, isLog: true }),
  lag: new Chart("lag", { format: (ms) => duration(ms / 1000), least: 1000 }),
  limits: new Chart("limits", { format: perMinute, empty: "limits_empty" }),
  problems: new Chart("problems", { format: perMinute, empty: "problems_empty" }),
};

// --- What is on the screen ---

function render() {
  byId("language").textContent = otherLanguage() === "en" ? "English" : "中文";
  byId("language").lang = otherLanguage();
  byId("console").hidden = byId("sign-out").hidden = !session;
  byId("who").textContent = personName;
  renderEntry(Boolean(session));
  if (session) renderState();
  if (session && snapshot) renderFigures();
}

function renderState() {
  const [look, text] = failure
    ? ["away", t("no_answer", { time: clock(failure.since), why: t(failure.kind) })]
    : snapshot
      ? [snapshot.store_reached && snapshot.is_ready ? "live" : "impaired", t(!snapshot.store_reached ? "live_store_away" : snapshot.is_ready ? "live" : "live_not_ready")]
      : ["waiting", t("waiting")];
  byId("state").className = `state ${look}`;
  if (byId("state-text").textContent !== text) byId("state-text").textContent = text;
  byId("state-when").textContent = answeredAt ? t(failure ? "last_answer" : "answered", { time: clock(answeredAt), node: nodeName(snapshot.node_id) }) : "";
  byId("figures").className = failure ? "stale" : "";
}

function renderFigures() {
  const grid = series.grid(Number(byId("range").value) * 60_000);
  const rates = verdicts.map((verdict) => series.rate(grid, (sample) => sample.checks[verdict]));
  const [p50, p95, p99] = series.quantiles(grid, [0.5, 0.95, 0.99]);
  const total = rates[0].map((_, at) => (rates[0][at] === null ? null : rates.reduce((sum, of) => sum + of[at], 0)));
  const firing = holding(snapshot.alerts).filter((alert) => alert.is_firing).length;
  renderTiles({ rate: mean(total.slice(-6)), p99: p99.at(-1), latest: series.latest(), snapshot, firing });
  renderAlerts(snapshot.alerts, language());
  renderShares(verdicts.map((verdict) => series.grown(grid, (sample) => sample.checks[verdict])));
  charts.checks.draw(grid, verdicts.map((verdict, at) => ({ name: t(verdict), values: rates[at] })));
  charts.latency.draw(grid, [["p50", p50], ["p95", p95], ["p99", p99]].map(([name, values]) => ({ name, values })));
  const nodes = series.latest().map((sample) => sample.node).slice(0, linesMax);
  charts.lag.draw(grid, nodes.map((node) => ({ name: t("node_named", { node: nodeName(node) }), values: series.gauge(grid, node, (sample) => sample.age) })));
  charts.limits.draw(grid, events(grid, "limited", (name) => t(`limit_${name}`)));
  charts.problems.draw(grid, events(grid, "problems", (name) => name));
  renderNodes(snapshot);
  renderFacts(snapshot);
}

/** The lines of what happened most within the chart. */
function events(grid, family, name) {
  const names = new Set([...series.nodes.values()].flatMap((samples) => Object.keys(samples.at(-1)?.[family] ?? {})));
  const counted = [...names].map((of) => ({ of, count: series.grown(grid, (sample) => sample[family][of] ?? 0) }));
  const most = counted.filter(({ count }) => count > 0.01).sort((a, b) => b.count - a.count).slice(0, linesMax);
  const values = (of) => series.rate(grid, (sample) => sample[family][of] ?? 0).map((rate) => (rate === null ? null : rate * 60));
  return most.map(({ of }) => ({ name: name(of), values: values(of) }));
}

function mean(values) {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

// --- Asking ---

async function poll() {
  clearTimeout(timer);
  const asking = session;
  if (!asking) return;
  let waitMs = everyMs;
  try {
    const answer = await asking.get("/v1/console", answerMs);
    if (session !== asking) return;
    take(answer);
    if (!asked.has(answer.node_id)) await askForPast(asking, answer.node_id);
  } catch (error) {
    if (session !== asking) return;
    const refusal = error instanceof Refusal ? error : new Refusal("unreadable");
    if (!(error instanceof Refusal)) console.error(error);
    if (["credentials", "scope", "ended"].includes(refusal.kind)) return signOut(personName && refusal.kind !== "scope" ? "ended" : refusal.kind);
    failure ??= { since: Date.now() };
    failure.kind = refusal.kind;
    series.failed(answeredAt || Date.now());
    waitMs = Math.max(everyMs, refusal.waitS * 1000);
  }
  if (session !== asking) return;
  render();
  timer = setTimeout(poll, waitMs);
}

function take(answer) {
  const sample = read(answer.sample);
  if (Number.isNaN(sample.t)) throw new Refusal("unreadable");
  series.bounds = answer.check_bounds_seconds;
  series.add(answer.node_id, [sample]);
  series.answered(sample.t);
  snapshot = admin.snapshot = answer;
  failure = null;
  answeredAt = sample.t;
}

/** A node that is met for the first time is asked for its last hour. Behind a balancer another one may answer: good as well. */
async function askForPast(asking, node) {
  asked.add(node);
  const past = await asking.get("/v1/console/history", answerMs);
  if (session !== asking) return;
  asked.add(past.node_id);
  series.add(past.node_id, past.samples.map(read));
}

// --- What the operator does ---

function opened(by, name) {
  session = admin.session = by;
  personName = name;
  render();
  byId("console-title").focus();
  poll();
}

function signOut(message = "") {
  clearTimeout(timer);
  session?.end();
  session = snapshot = failure = null;
  series = new Series();
  asked = new Set();
  answeredAt = 0;
  forget();
  closeViews();
  left(message, personName !== "");
  personName = "";
  render();
  focusEntry();
}

async function start() {
  haveTexts({ "zh-CN": () => import("./zh.js"), en: () => import("./en.js") });
  await setLanguage(browserLanguage());
  for (const chart of Object.values(charts)) byId("charts").append(chart.element);
  byId("sign-out").onclick = () => signOut();
  byId("language").onclick = () => setLanguage(otherLanguage()).then(() => { render(); redrawViews(); }, () => {});
  byId("range").onchange = render;
  onToggle(render);
  wireViews();
  matchMedia("(prefers-color-scheme: dark)").onchange = () => Object.values(charts).forEach((chart) => chart.restyle());
  window.addEventListener("pagehide", () => signOut());
  await wireEntry(opened, signOut);
  byId("loading").hidden = true;
  render();
  if (!session) focusEntry();
}

start();
