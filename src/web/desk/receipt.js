// The receipt as a file to save and as a paper for people. No number is in it, only its last four characters: the page no longer
// knows more. The file is what `lostcard receipt verify` and /verify take.

import { settings } from "./settings.js";
import { desk } from "./state.js";
import { zonedTime } from "../web/i18n.js";
import { at, service } from "../web/session.js";

/** Who checked, and where: what the file says, which no receipt has. */
export function whoOf() {
  const { siteWords, clerk } = settings();
  return { house: desk.house, site: siteWords, clerk };
}

/** The file's text in the language of `t`. */
export function receiptText(check, t) {
  const { answer } = check;
  const { house, site, clerk } = whoOf();
  const lines = [
    t("receipt_title"),
    "",
    ...(house ? [`organization: ${house}`] : []),
    ...(site ? [`site: ${site}`] : []),
    ...(clerk ? [`clerk: ${clerk}`] : []),
    `service: ${service()}`,
    `local_time: ${zonedTime(answer.as_of)}`,
    `id_number_ends: ${check.tail}`,
    `check_id: ${answer.check_id}`,
    `as_of: ${answer.as_of}`,
    `verdict: ${answer.verdict}`,
    `card_valid_from: ${check.validFrom ?? "-"}`,
    `client_ref: ${check.reference || "-"}`,
    `receipt: ${answer.receipt}`,
    `receipt_salt: ${answer.receipt_salt}`,
    "",
    ...instructions(check, t),
  ];
  return `${lines.join("\r\n")}\r\n`;
}

const fileName = (check) => `lostcard-${check.answer.check_id}.txt`;

/** What to do with a receipt, line by line; commands are the same in each language. */
export function instructions(check, t) {
  return [
    t("receipt_keep"),
    t("receipt_number"),
    t("receipt_means"),
    t("receipt_verify"),
    `  ${at("/verify")}`,
    `  curl -o jwks.json ${at("/.well-known/jwks.json")}`,
    `  lostcard receipt verify --jwks jwks.json --id-number-file number.txt ${fileName(check)}`,
  ];
}

/** Hands the file to the browser's downloads. */
export function saveReceipt(check, t) {
  const url = URL.createObjectURL(new Blob([receiptText(check, t)], { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName(check);
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
