// What is printed: the receipt of a loss report, the label of a found card, a temporary certificate, a temporary card. One paper at a
// time is in #paper, which only the printer shows.

import { facts, printed } from "./forms.js";
import { station } from "./state.js";
import { byId, make } from "../web/elements.js";
import { t, zonedTime } from "../web/i18n.js";
import { drawQr } from "../web/qr.js";

// To be written by hand where the page does not know it any more.
const blank = "__________________";

async function print(kind, children) {
  const paper = byId("paper");
  paper.className = kind;
  paper.replaceChildren(...children);
  paper.hidden = false;
  document.body.classList.add("printable");
  window.print();
}

/** Takes the paper away: it may be about a person. */
export function clearPaper() {
  byId("paper").replaceChildren();
  byId("paper").hidden = true;
  document.body.classList.remove("printable");
}

async function code(text, key) {
  const svg = await drawQr(text, t(key));
  return make("figure", {}, svg, make("figcaption", {}, t(key)));
}

const signs = (keys) => make("div", { className: "signs" }, keys.map((key) => make("p", {}, t(key), ": ", make("span", { className: "blank" }))));
const title = (key) => make("h2", {}, t(key));

/** 挂失申报回执. The number is not on it but for its last four characters. */
export async function printReceipt(report, tail) {
  await print("receipt", [
    title("receipt_title"),
    make("p", {}, [station.house, report.office ?? station.office].filter(Boolean).join(" · ")),
    make("div", { className: "sides" },
      facts([
        ["report_id", report.report_id],
        ["reported_at", zonedTime(report.reported_at)],
        ["state", t(`state_${report.state}`)],
        ["tail", tail || blank],
        ["name_by_hand", blank],
        ["field_card_valid_from", printed(report.card_valid_from) ?? t("not_given")],
        ["field_reason", t(`reason_${report.reason}`)],
        ["field_reporter", report.reporter && t(`reporter_${report.reporter}`)],
        ["field_way", report.way && t(`way_${report.way}`)],
        ["field_lost_on", printed(report.lost_on)],
      ], "paper-facts"),
      await code(report.report_id, "code_report")),
    make("ul", {}, ["receipt_listed", "receipt_found", "receipt_new", "receipt_asked"].map((key) => make("li", {}, t(key)))),
    signs(["sign_reporter", "sign_clerk"]),
  ]);
}

/** What is glued to the envelope of a found card. */
export async function printLabel(card, tail) {
  await print("label", [
    make("div", { className: "sides" },
      make("div", {},
        title("label_title"),
        facts([
          ["found_card_id", card.found_card_id],
          ["tail", tail || blank],
          ["field_found_on", printed(card.found_on)],
          ["registered_at", zonedTime(card.registered_at)],
          ["office", card.office],
        ], "paper-facts")),
      await code(card.found_card_id, "code_found")),
  ]);
}

/** A temporary identification certificate: the code is the credential, the rest is for people. */
export async function printCertificate(issued, tail) {
  await print("certificate", [
    title("certificate_title"),
    make("p", {}, [station.house, station.office].filter(Boolean).join(" · ")),
    make("div", { className: "sides" },
      facts([
        ["certificate_id", issued.certificate_id],
        ["name_by_hand", blank],
        ["tail", tail],
        ["field_purpose", t(`for_${issued.purpose}`)],
        ["field_journey_on", printed(issued.journey_on)],
        ["valid_from", zonedTime(issued.valid_from)],
        ["expires_at", zonedTime(issued.expires_at)],
      ], "paper-facts"),
      await code(issued.certificate, "code_certificate")),
    make("ul", {}, ["certificate_with_number", "certificate_once", "certificate_lost"].map((key) => make("li", {}, t(key)))),
    signs(["sign_clerk"]),
  ]);
}

/** What is handed out with a temporary card. */
export async function printTemporaryCard(card, application) {
  await print("receipt", [
    title("temporary_title"),
    make("p", {}, [station.house, station.office].filter(Boolean).join(" · ")),
    make("div", { className: "sides" },
      facts([
        ["temporary_card_id", card.temporary_card_id],
        ["application_id", application.application_id],
        ["name_by_hand", blank],
        ["valid_from", printed(card.card_valid_from)],
        ["valid_until", printed(card.card_valid_until)],
      ], "paper-facts"),
      await code(application.application_id, "code_application")),
    make("ul", {}, ["temporary_return", "temporary_lost"].map((key) => make("li", {}, t(key)))),
    signs(["sign_holder", "sign_clerk"]),
  ]);
}
