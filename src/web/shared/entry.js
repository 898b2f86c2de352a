// The door of a page that is a device: its first use with a code, and its PIN after that. A client's secret stays possible beside it, for
// sandboxes and trials; each page has that form itself.

import { byId } from "./elements.js";
import { t } from "./i18n.js";
import { Refusal, Session } from "./session.js";

const pinForm = /^\d{6}$/;
const nameBytesMax = 64;
const stirEveryMs = 20_000;
/** device.js, fetched when the page is on the screen. */
let kept = null;
/** What the token endpoint's word means at a device. */
const meanings = { invalid_grant: "pin_wrong", access_denied: "device_locked", invalid_client: "device_ended", invalid_request: "name_wrong" };

const door = { page: "", scope: "", device: null, isKnown: false, isPairing: true, isBusy: false, isOpen: false, message: [], hooks: {} };
let resting = 0;
let stirredAtMs = 0;
let hereAtMs = 0;

const digitsOf = (id) => byId(id).value.normalize("NFKC").trim();

/** Draws the form: for a code where the page is no device yet, for a PIN where it is one. */
export function renderDoor() {
  const { isKnown, isPairing, isBusy, message, device } = door;
  byId("device-form").hidden = byId("device-text").hidden = !isKnown;
  byId("entry-title").textContent = t(!isKnown ? "door_opening" : isPairing ? "pair_title" : "unlock_title");
  byId("device-text").textContent = isPairing ? t("pair_text") : t("unlock_text", { name: device.name || device.site });
  byId("device-message").textContent = message.map((key) => t(...[key].flat())).join(" ");
  byId("code-fields").hidden = byId("again-fields").hidden = !isPairing;
  byId("pin-label").textContent = t(isPairing ? "pin_new" : "pin");
  byId("device-enter").textContent = t(isBusy ? "signing_in" : isPairing ? "pair_do" : "unlock_do");
  byId("device-enter").disabled = isBusy;
  byId("pair-other").hidden = isPairing;
  byId("pair-back").hidden = !isPairing || !device;
}

function refuse(...message) {
  door.message = message;
  renderDoor();
}

function refusePin(key) {
  clearPins();
  refuse(key);
  byId("pin").focus();
}

/** At the start: somebody may be typing a secret by now. */
export function focusDoorFirst() {
  if (document.activeElement === document.body) focusDoor();
}

/** The first field that is left to fill. */
export function focusDoor() {
  const fields = ["code", "clerk-name", "pin"].filter((id) => door.isPairing || id !== "code");
  (fields.map(byId).find(({ value }) => value === "") ?? byId("pin")).focus();
}

function clearPins() {
  byId("pin").value = byId("pin-again").value = "";
}

/** A session by what was unlocked, with its first token. */
async function begin(began) {
  const session = new Session(door.scope, began.proof, (error) => door.hooks.lost([meanings[error.code] ?? "signed_out_credentials"]));
  try {
    await session.renew();
    return session;
  } catch (error) {
    session.end();
    throw error;
  }
}

async function enter(event) {
  event.preventDefault();
  if (door.isBusy) return;
  const [code, clerk, pin, again] = [kept.tidiedCode(byId("code").value), byId("clerk-name").value.trim(), digitsOf("pin"), digitsOf("pin-again")];
  const waitS = Math.ceil(((door.isPairing ? 0 : door.device.retryAtMs) - Date.now()) / 1000);
  if (door.isPairing && !code) return refuse("code_wrong");
  if (!clerk || new TextEncoder().encode(clerk).length > nameBytesMax || /\d{15}/.test(clerk)) return refuse("name_wrong");
  // A card that was scanned here, above all: it spends no try, and does not stay.
  if (!pinForm.test(pin)) return refusePin("pin_form");
  if (door.isPairing && pin !== again) return refusePin("pins_differ");
  if (waitS > 0) return refuse(["pin_wait", { seconds: waitS }]);
  const problem = door.hooks.problem?.();
  if (problem) return refuse(problem);
  door.isBusy = true;
  refuse();
  try {
    const wasPairing = door.isPairing;
    const began = wasPairing ? await kept.pair(door.page, code, clerk, pin) : await kept.unlock(door.device, clerk, pin);
    // From here on the page is the device, whatever its first token says.
    Object.assign(door, { device: began.device, isPairing: false });
    await open(await begin(began), began);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.code === "invalid_grant") await kept.missed(door.page, door.device);
    door.message = [meanings[error.code] ?? error.kind];
  } finally {
    door.isBusy = false;
    clearPins();
    renderDoor();
    if (!door.isOpen) focusDoor();
  }
}

/** What operators call the device and its place by now: it may have moved. Without an answer both stay as they were. */
async function learnPlace(session, device) {
  const told = await session.get("/v1/organization").catch(() => ({}));
  if (told.client?.site) Object.assign(device, { site: told.client.site, name: told.client.name ?? "" });
}

async function open(session, began) {
  await learnPlace(session, began.device);
  await kept.worked(door.page, began);
  byId("code").value = "";
  Object.assign(door, { isOpen: true, message: [] });
  hereAtMs = Date.now();
  stir();
  door.hooks.opened(session, { clerk: began.unlocked.clerk, site: began.device.site, purpose: began.device.purpose });
}

/** What this device is for, from now on: who unlocks it is not asked. */
export function rememberPurpose(purpose) {
  if (!door.isOpen) return;
  door.device.purpose = purpose;
  kept.keep(door.page, door.device).catch(() => {});
}

/** Closes the door: the PIN is asked for again. */
export async function closeDoor(message = []) {
  clearTimeout(resting);
  Object.assign(door, { isOpen: false, message });
  clearPins();
  byId("clerk-name").value = door.device?.clerk ?? "";
  renderDoor();
  await kept?.lock();
}

function stir() {
  if (!door.isOpen) return;
  // A device that slept has run no timer: its clock says that nobody was there.
  if (Date.now() - hereAtMs >= kept.restMs) return void door.hooks.lost(["rested"]);
  hereAtMs = Date.now();
  clearTimeout(resting);
  resting = setTimeout(() => door.hooks.lost(["rested"]), kept.restMs);
  if (Date.now() - stirredAtMs < stirEveryMs) return;
  stirredAtMs = Date.now();
  kept.stirred().catch(() => {});
}

/** A link with a code was followed where the page is open already. */
function offered() {
  const code = kept.codeOfAddress();
  if (!code || door.isOpen) return;
  door.isPairing = true;
  byId("code").value = code;
  refuse();
  focusDoor();
}

// The device that this page is stays until a code has made another one of it.
function pairAgain(isPairing) {
  Object.assign(door, { isPairing, message: [] });
  clearPins();
  renderDoor();
  focusDoor();
}

/**
 * Wires the door of a page. `hooks`: `opened(session, {clerk, site})`, `lost(message)` when the device is no longer let in, and `problem()`,
 * a word for what else is wrong in the form. True where the tab was unlocked before.
 */
export async function wireDoor(page, scope, hooks) {
  Object.assign(door, { page, scope, hooks });
  renderDoor();
  byId("device-form").onsubmit = (event) => event.preventDefault();
  // Without it nothing is paired or unlocked; a secret still works.
  kept = await import("./device.js").catch(() => null);
  if (!kept) {
    refuse("network");
    return false;
  }
  byId("device-form").onsubmit = enter;
  byId("pair-other").onclick = () => pairAgain(true);
  byId("pair-back").onclick = () => pairAgain(false);
  for (const kind of ["pointerdown", "keydown", "input"]) document.addEventListener(kind, stir, { capture: true, passive: true });
  // A page that was left is shown as it was; who left it may be gone.
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  door.device = await kept.deviceOf(page).catch(() => null);
  // Read once all that is waited for is there: a link that is followed meanwhile is not lost.
  const code = kept.codeOfAddress();
  window.addEventListener("hashchange", offered);
  const isPairing = code !== "" || !door.device;
  Object.assign(door, { isPairing, isKnown: isPairing });
  byId("code").value = code;
  byId("clerk-name").value = door.device?.clerk ?? "";
  renderDoor();
  if (isPairing) return false;
  try {
    const began = await kept.resumed(page, door.device);
    if (began) await open(await begin(began), began);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await closeDoor([meanings[error.code] ?? error.kind]);
  }
  // Until here nobody is asked for a PIN that the tab may not need.
  door.isKnown = true;
  renderDoor();
  return door.isOpen;
}
