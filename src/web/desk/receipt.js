// The receipt as a file to save. No number is in it: the page no longer knows it.

/** The file's text in the language of `t`. */
export function receiptText(check, t) {
  const { answer } = check;
  const lines = [
    t("receipt_title"),
    "",
    `service: ${location.origin}`,
    `check_id: ${answer.check_id}`,
    `as_of: ${answer.as_of}`,
    `verdict: ${answer.verdict}`,
    `card_valid_from: ${check.validFrom ?? "-"}`,
    `client_ref: ${check.reference || "-"}`,
    `receipt: ${answer.receipt}`,
    `receipt_salt: ${answer.receipt_salt}`,
    "",
    ...instructions(t),
  ];
  return `${lines.join("\r\n")}\r\n`;
}

/** What to do with a receipt, line by line; commands are the same in each language. */
export function instructions(t) {
  return [
    t("receipt_keep"),
    t("receipt_number"),
    t("receipt_means"),
    t("receipt_verify"),
    `  curl -o jwks.json ${location.origin}/.well-known/jwks.json`,
    "  lostcard receipt verify --jwks jwks.json --salt SALT --id-number-file number.txt receipt.txt",
    t("receipt_verify_online"),
  ];
}

/** Hands the file to the browser's downloads. */
export function saveReceipt(check, t) {
  const url = URL.createObjectURL(new Blob([receiptText(check, t)], { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `lostcard-${check.answer.check_id}.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
