// What is printed: the receipt of a loss report, the label of a found card, a temporary certificate, a temporary card. One paper at a
// time is in #paper, which only the printer shows.

import { facts, printed } from "./forms.js";
import { station } from "./state.js";
import { byId, make } from "../web/elements.js";
import { t, zonedTime } from "../web/i18n.js";
import { drawQr } from "../web/qr.js";
import { at, service } from "../web/session.js";

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
  return make("figure", { className: key }, svg, make("figcaption", {}, t(key)));
}

const signs = (keys) => make("div", { className: "signs" }, keys.map((key) => make("p", {}, t(key), ": ", make("span", { className: "blank" }))));
const title = (key) => make("h2", {}, t(key));

/** Who took a report: of another organization the page knows its office alone, of one that was read by its id not the office. */
const placeOf = (report) => [report.filed_elsewhere ? "" : station.house, report.office].filter(Boolean);

/** What checks answer because of a report: nothing but what is so when it is printed. */
function effects({ state, card_valid_from: start, ended_at: endedAt }) {
  if (state === "withdrawn") return [endedAt ? "receipt_withdrawn_on" : "receipt_withdrawn"];
  if (state === "replaced") return ["receipt_replaced"];
  return [start ? "receipt_listed" : "receipt_listed_number", "receipt_found", "receipt_new"];
}

/**
 * 挂失申报回执. The number is not on it but for its last four characters. Two codes: the receipt, which tells nobody whom it is about, and its
 * salt, which does together with it. Where the page has no receipt of the report, its code is the report's id.
 */
export async function printReceipt(report, tail) {
  const receipt = station.receipts.get(report.report_id);
  const time = report.ended_at && zonedTime(report.ended_at);
  const means = make("ul", {}, [...effects(report), "receipt_asked"].map((key) => make("li", {}, t(key, { time }))));
  await print("receipt", [
    title("receipt_title"),
    make("p", {}, placeOf(report).join(" · ")),
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
      // Apart from the receipt's: a camera takes one of them.
      await (receipt ? code(receipt.salt, "code_salt") : code(report.report_id, "code_report"))),
    receipt ? make("div", { className: "sides" }, await code(receipt.text, "code_receipt"), means) : means,
    receipt ? make("p", {}, t("receipt_where", { where: at("/verify") })) : null,
    receipt ? make("p", { className: "long" }, make("b", {}, "receipt_salt: "), receipt.salt) : null,
    signs(["sign_reporter", "sign_clerk"]),
  ].filter(Boolean));
}

/** The same as a file: what `lostcard receipt verify`, `lostcard receipt audit` and /verify take. */
export function saveReceipt(report, tail) {
  const receipt = station.receipts.get(report.report_id);
  const name = `lostcard-${report.report_id}.txt`;
  const lines = [
    t("receipt_title"),
    "",
    ...(station.house ? [`organization: ${station.house}`] : []),
    `office: ${report.office}`,
    `service: ${service()}`,
    `local_time: ${zonedTime(report.reported_at)}`,
    `id_number_ends: ${tail}`,
    `report_id: ${report.report_id}`,
    `reported_at: ${report.reported_at}`,
    `card_valid_from: ${report.card_valid_from ?? "-"}`,
    `report_receipt: ${receipt.text}`,
    `report_receipt_salt: ${receipt.salt}`,
    "",
    t("receipt_number"),
    t("receipt_where", { where: at("/verify") }),
    `  curl -o jwks.json ${at("/.well-known/jwks.json")}`,
    `  lostcard receipt verify --jwks jwks.json --id-number-file number.txt ${name}`,
  ];
  const url = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/plain;charset=utf-8" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
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
