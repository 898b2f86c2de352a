// The station's page: sign in, choose a task. What each task does is in its own file.

import { redraw } from "./forms.js";
import { foundTask } from "./found.js";
import { applyTask, certificateTask, misuseTask, replaceTask } from "./issues.js";
import { clearPaper } from "./papers.js";
import { closeSecond, reportTask, searchTask } from "./reports.js";
import { forget, station } from "./state.js";
import { todayTask } from "./today.js";
import { byId } from "../web/elements.js";
import { closeDoor, focusDoor, focusDoorFirst, renderDoor, wireDoor } from "../web/entry.js";
import { browserLanguage, haveTexts, otherLanguage, setLanguage, t } from "../web/i18n.js";
import { at, Session, secretOf } from "../web/session.js";

const idleMs = 300_000;
const officeForm = /^[A-Za-z0-9-]{1,32}$/;
const tasks = {
  report: reportTask, search: searchTask, found: foundTask, replace: replaceTask, apply: applyTask, certificate: certificateTask,
  misuse: misuseTask, today: todayTask,
};
let idle = 0;
let entering = false;
let entryMessage = [];

function render() {
  const isIn = station.session !== null;
  byId("entry").hidden = isIn || !window.isSecureContext;
  byId("work").hidden = byId("sign-out").hidden = !isIn;
  byId("enter").disabled = entering;
  byId("house").textContent = [station.house, station.office].filter(Boolean).join(" · ");
  byId("language").textContent = t("other_language");
  byId("entry-message").textContent = entering ? t("signing_in") : entryMessage.map((key) => t(key)).join(" ");
  byId("task-title").textContent = t(`task_${station.task}`);
  for (const button of document.querySelectorAll("[data-task]")) {
    if (button.dataset.task === station.task) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
}

function open(task) {
  clearPaper();
  station.task = task;
  byId("task-body").replaceChildren(...tasks[task]().flat());
  render();
  (byId("task-body").querySelector("form input, form select, .actions button") ?? byId("task-title")).focus();
}

async function enter(event) {
  event.preventDefault();
  if (entering) return;
  const [id, secret, office] = ["client-id", "client-secret", "office"].map((name) => byId(name).value.normalize("NFKC").trim());
  entryMessage = !id || !secret || !office ? ["missing_credentials"] : officeForm.test(office) ? [] : ["code_malformed_office"];
  if (entryMessage.length > 0) return render();
  entering = true;
  render();
  const opened = new Session("registry", secretOf(id, secret), () => signOut(["signed_out_credentials"]));
  try {
    await opened.renew();
    begin(opened, office);
  } catch (error) {
    opened.end();
    entryMessage = [error.kind ?? "unreadable"];
  }
  entering = false;
  if (station.session) open("report");
  else {
    render();
    byId("client-secret").focus();
  }
}

function begin(session, office) {
  Object.assign(station, { session, office });
  byId("client-id").value = byId("client-secret").value = "";
  session.get("/v1/organization").then(({ name }) => {
    if (station.session === session && typeof name === "string") station.house = name;
    render();
  }, () => {});
}

const deviceOffice = () => byId("device-office").value.normalize("NFKC").trim();
const officeProblem = () => (deviceOffice() && !officeForm.test(deviceOffice()) ? "code_malformed_office" : null);

/** The device was unlocked by somebody: its site is its office, unless the form says another one. */
function unlocked(session, { site }) {
  begin(session, deviceOffice() || site);
  station.isDevice = true;
  open("report");
}

/** Leaving is no signing out of a device: the same page may be loaded again. */
function leave() {
  if (!station.isDevice) return signOut();
  station.session.end();
}

function signOut(message = []) {
  const { isDevice } = station;
  forget();
  clearPaper();
  closeSecond();
  byId("task-body").replaceChildren();
  entryMessage = isDevice ? [] : message;
  if (isDevice) closeDoor(message);
  render();
  if (isDevice) focusDoor();
  else byId("client-id").focus();
}

// A sandbox must not pass for the service: asked until it is known.
async function tellEnvironment() {
  try {
    const response = await fetch(at("/v1/status"), { credentials: "omit" });
    byId("sandbox").hidden = (await response.json()).environment !== "sandbox";
    if (response.ok) return;
  } catch {
    // No network, or no answer of the service.
  }
  setTimeout(tellEnvironment, 10_000);
}

function stir() {
  clearTimeout(idle);
  idle = setTimeout(rest, idleMs);
}

// Nobody is there: what was typed or printed about somebody goes, and so do secrets.
function rest() {
  closeSecond();
  for (const id of ["client-id", "client-secret", "pin", "pin-again"]) byId(id).value = "";
  if (station.session) open(station.task);
}

async function start() {
  haveTexts({ "zh-CN": () => import("./zh.js"), en: () => import("./en.js") });
  await setLanguage(browserLanguage());
  byId("loading").hidden = true;
  byId("unfit").hidden = window.isSecureContext;
  byId("entry-form").onsubmit = enter;
  byId("sign-out").onclick = () => signOut();
  byId("language").onclick = () => setLanguage(otherLanguage()).then(() => { render(); renderDoor(); redraw(); }, () => {});
  for (const button of document.querySelectorAll("[data-task]")) button.onclick = () => open(button.dataset.task);
  for (const kind of ["pointerdown", "keydown", "input"]) document.addEventListener(kind, stir, { capture: true, passive: true });
  window.addEventListener("pagehide", leave);
  stir();
  render();
  const hooks = { opened: unlocked, lost: signOut, problem: officeProblem };
  if (window.isSecureContext && !(await wireDoor("station", "registry", hooks))) focusDoorFirst();
  await tellEnvironment();
}

start();
