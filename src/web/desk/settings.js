// What the desk is for, where it is and who works at it: changed at any time, without signing in again. In memory alone.

import { byId } from "../web/elements.js";
import { rememberPurpose } from "../web/entry.js";
import { t } from "../web/i18n.js";

const label = /^[A-Za-z0-9._:-]{1,64}$/;
const wordsMax = 64;
let current = { purpose: "lodging", site: "", siteWords: "", clerk: "" };

export const settings = () => current;

/** Whether a text could hold an identity number, however it is divided. */
export const holdsNumber = (text) => /\d{15}/.test(text.normalize("NFKC").replace(/[\s._:-]/g, ""));

/** What the service takes in the place of any words: they themselves where they are a code, else a code that is always theirs. */
export async function codeOf(words) {
  const name = words.normalize("NFKC").trim().replace(/\s+/g, " ");
  if (name === "" || label.test(name)) return name;
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`lostcard:site:v1:${name}`));
  return `site-${Array.from(new Uint8Array(bytes).slice(0, 6), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Reads the fields; what is wrong in them keeps the settings from changing. */
async function changed() {
  const [siteWords, clerk] = ["site", "clerk"].map((id) => byId(id).value.trim());
  const wrong = [siteWords, clerk].some((text) => text.length > wordsMax || holdsNumber(text));
  byId("settings-message").textContent = wrong ? t("settings_wrong") : "";
  if (wrong) return;
  current = { purpose: byId("purpose").value, siteWords, clerk, site: await codeOf(siteWords) };
  rememberPurpose(current.purpose);
  renderSettings();
}

/** The line that says what is set, and the code of the site. */
export function renderSettings() {
  const { purpose, site, siteWords, clerk } = current;
  byId("settings-now").textContent = [t(`purpose_${purpose}`), siteWords, clerk].filter(Boolean).join(" · ");
  byId("clerk-hint").textContent = t(byId("clerk").readOnly ? "clerk_hint_device" : "clerk_hint");
  byId("site-code").textContent = site === siteWords ? "" : t("site_code", { code: site });
}

/** What a paired device is, and who is at it: the service knows both. */
export function setSettings({ site, clerk, purpose = "lodging" }) {
  byId("purpose").value = purpose;
  byId("site").value = site;
  byId("clerk").value = clerk;
  byId("clerk").readOnly = true;
  current = { purpose, siteWords: site, site, clerk };
  renderSettings();
}

/** Forgets who works here. */
export function clearSettings() {
  byId("clerk").readOnly = false;
  current = { purpose: "lodging", site: "", siteWords: "", clerk: "" };
  byId("purpose").value = current.purpose;
  byId("site").value = byId("clerk").value = byId("settings-message").textContent = "";
}

export function wireSettings() {
  for (const id of ["purpose", "site", "clerk"]) byId(id).onchange = changed;
}
