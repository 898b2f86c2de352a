// The portal's pages as text: two languages, no script. Whatever comes from elsewhere is escaped.

const en = {
  lang: "en", title: "My identity card", sign_in: "Sign in", sign_out: "Sign out", about: "See what the registry of lost cards holds on you.",
  no_number: "Your provider did not tell your identity number.", failed: "This did not work. Try again later.", not_found: "There is no such page.",
  reports: "Loss reports", sightings: "Where your card was shown", found: "Cards that were handed in", certificates: "Temporary certificates", accesses: "Who looked",
  none: "Nothing.", reported: "Reported", card_from: "card valid from", office: "Office", reach: "How to reach it", unknown_reach: "Ask at any police station.",
  online: "this or another portal", times: "times", handed_in: "Found on", until: "valid until", revoked: "revoked", operator: "the operator of the registry",
  status_title: "Show that your card is not reported", status_about: "A code for the desk of a hotel: it is verified there without asking the registry, and is valid for fifteen minutes.",
  status_from: "First date on the side with the emblem (YYYY-MM-DD)", status_make: "Make the code", status_code: "The code for the desk", status_not_offered: "The registry does not offer this.",
  status_failed: "The code could not be made. Is the date right?", active: "in force", withdrawn: "withdrawn", replaced: "replaced by a new card", held: "waits for you at the office",
  returned: "given back", destroyed: "destroyed", transferred: "passed on to the office", lost: "lost", stolen: "stolen", certifying: "a hotel, bank or carrier", registrar: "a police station or hall",
};
const zh = {
  lang: "zh-CN", title: "我的居民身份证", sign_in: "登录", sign_out: "退出", about: "查看挂失登记库中与您有关的记录。",
  no_number: "身份提供方未提供您的公民身份号码。", failed: "操作未成功，请稍后再试。", not_found: "没有此页面。",
  reports: "挂失记录", sightings: "证件在何处出示", found: "捡拾上交的证件", certificates: "临时身份证明", accesses: "谁查阅过",
  none: "无。", reported: "挂失时间", card_from: "有效期限起始", office: "办理机构", reach: "联系方式", unknown_reach: "请到任一派出所咨询。",
  online: "本门户或其他门户", times: "次", handed_in: "捡拾日期", until: "有效期至", revoked: "已撤销", operator: "登记库运维人员",
  status_title: "证明您的证件未挂失", status_about: "供酒店前台使用的二维码：前台无需查询登记库即可核验，十五分钟内有效。",
  status_from: "国徽面“有效期限”的前一个日期（YYYY-MM-DD）", status_make: "生成二维码", status_code: "请向前台出示此二维码", status_not_offered: "登记库未提供此服务。",
  status_failed: "未能生成二维码，请核对日期。", active: "挂失中", withdrawn: "已解除挂失", replaced: "已换领新证", held: "在办理机构等您领取",
  returned: "已归还", destroyed: "已销毁", transferred: "已移交该机构", lost: "丢失", stolen: "被盗", certifying: "酒店、银行或承运单位", registrar: "派出所或办证大厅",
};

export const wordsOf = (request) => (/^zh/i.test(request.headers["accept-language"] ?? "") ? zh : en);
const safe = (text) => String(text).replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
const list = (words, rows) => (rows.length === 0 ? `<p>${words.none}</p>` : `<ul>${rows.map((row) => `<li>${row}</li>`).join("")}</ul>`);
const section = (title, body) => `<section><h2>${title}</h2>${body}</section>`;
const day = (words, at) => new Intl.DateTimeFormat(words.lang, { dateStyle: "medium", timeZone: "Asia/Shanghai" }).format(new Date(at));
const moment = (words, at) => new Intl.DateTimeFormat(words.lang, { dateStyle: "medium", timeStyle: "short", timeZone: "Asia/Shanghai" }).format(new Date(at));

/** Which office a record is at, and how to reach it. */
function office(words, { office: code, office_name, office_reach }) {
  if (code === "online") return `<small>${words.office}: ${words.online}</small>`;
  const name = office_name ? `${safe(office_name)} (${safe(code)})` : safe(code);
  return `<small>${words.office}: ${name}</small><small>${words.reach}: ${office_reach ? safe(office_reach) : words.unknown_reach}</small>`;
}

/** Sightings by day, the latest first, then by place. */
function sightings(words, all) {
  const days = new Map();
  for (const one of all) days.set(day(words, one.seen_at), [...(days.get(day(words, one.seen_at)) ?? []), one]);
  const place = (one) => `${safe(one.region)} · ${words[one.organization_kind] ?? safe(one.organization_kind)} · ${one.count} ${words.times}`;
  return all.length === 0 ? `<p>${words.none}</p>` : [...days].map(([on, seen]) => `<h3>${on}</h3>${list(words, seen.sort((a, b) => a.region.localeCompare(b.region)).map(place))}`).join("");
}

function records(words, { records: { reports, sightings: seen, found_cards, certificates }, accesses, csrf, status }) {
  const state = (word) => words[word] ?? safe(word);
  const code = status ? `<figure><figcaption>${words.status_code}</figcaption><img alt="${words.status_code}" src="data:image/svg+xml;base64,${Buffer.from(status.svg).toString("base64")}"></figure>` : "";
  return [
    section(words.reports, list(words, reports.map((one) => `<b>${state(one.state)}</b> · ${state(one.reason)} · ${words.reported} ${moment(words, one.reported_at)}${one.card_valid_from ? ` · ${words.card_from} ${safe(one.card_valid_from)}` : ""}${office(words, one)}`))),
    section(words.found, list(words, found_cards.map((one) => `<b>${state(one.state)}</b> · ${words.handed_in} ${safe(one.found_on)}${office(words, one)}`))),
    section(words.sightings, sightings(words, seen)),
    section(words.certificates, list(words, certificates.map((one) => `${words.until} ${moment(words, one.expires_at)}${one.revoked ? ` · ${words.revoked}` : ""}${office(words, one)}`))),
    section(words.accesses, list(words, accesses.map((one) => `${moment(words, one.at)} · ${one.organization_name ? safe(one.organization_name) : words.operator} · <code>${safe(one.action)}</code>`))),
    section(words.status_title, `<p>${words.status_about}</p>${code}<form method="post" action="/status"><input type="hidden" name="csrf" value="${csrf}"><label for="from">${words.status_from}</label> <input id="from" name="card_valid_from" pattern="[0-9]{4}-[0-9]{2}-[0-9]{2}" required> <button>${words.status_make}</button></form>`),
    `<form method="post" action="/logout"><input type="hidden" name="csrf" value="${csrf}"><button>${words.sign_out}</button></form>`,
  ].join("");
}

export function pageOf(words, content) {
  const message = content.message ? `<p class="note" role="alert">${words[content.message]}</p>` : "";
  const main = content.records ? records(words, content) : `<p>${words.about}</p><form method="post" action="/login"><button>${words.sign_in}</button></form>`;
  return `<!doctype html><html lang="${words.lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${words.title}</title><link rel="stylesheet" href="/portal.css"></head><body><main><h1>${words.title}</h1>${message}${main}</main></body></html>`;
}
