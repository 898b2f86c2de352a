// The window in which misuse is reported. It knows the digest of the check at hand for as long as that is shown.

import { byId } from "../web/elements.js";
import { t } from "../web/i18n.js";

const numberLike = /\d[\d\s.-]{13,}[\dXx]/;
let open = null;

/** Opens the window for a check; `done` hears that the report was taken. */
export function openReport(check, { session, site, done }) {
  open = { check, session, site, done, key: crypto.randomUUID(), sending: false };
  byId("report-form").reset();
  byId("report-message").textContent = "";
  // The one kind that a listed card suggests; where nothing is listed the clerk has to say.
  const suggested = check.answer.verdict === "card_listed";
  byId("report-form").elements.kind[0].checked = suggested;
  byId("report").showModal();
  if (suggested) byId("report-send").focus();
}

/** Closes the window and forgets what was written in it. */
export function closeReport() {
  open = null;
  byId("report-form").reset();
  if (byId("report").open) byId("report").close();
}

export function wireReport() {
  byId("report-cancel").onclick = closeReport;
  byId("report").onclose = () => {
    open = null;
    byId("report-form").reset();
  };
  byId("report-form").onsubmit = (event) => {
    event.preventDefault();
    if (open && !open.sending) send(open);
  };
}

async function send(report) {
  const say = (key) => (byId("report-message").textContent = key ? t(key) : "");
  const kind = byId("report-form").elements.kind.value;
  const narrative = byId("narrative").value.trim();
  if (!kind) return say("kind_needed");
  if (numberLike.test(narrative)) return say("narrative_number");
  const { check, session, site, key, done } = report;
  const body = {
    check_id: check.answer.check_id,
    id_digest: check.digest,
    kind,
    observed_at: check.answer.as_of,
    ...(site && { site }),
    ...(narrative && { narrative }),
  };
  report.sending = true;
  say("sending");
  try {
    const answer = await session.post("/v1/misuse-reports", body, { "Idempotency-Key": key });
    done(check, String(answer.misuse_report_id ?? ""));
    if (open === report) closeReport();
  } catch (refusal) {
    const wait = refusal.waitS ? t("wait", { seconds: refusal.waitS }) : "";
    const reason = refusal.kind ? t(refusal.kind) : "";
    if (open === report) byId("report-message").textContent = [t("report_failed"), reason, wait].join(" ").trim();
  } finally {
    report.sending = false;
  }
}
