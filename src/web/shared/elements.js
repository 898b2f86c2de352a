// How pages build elements. Text goes in as text, never as markup.

import { t } from "./i18n.js";

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; absent children are left out. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const button = (key, onclick, className = "") => make("button", { type: "button", onclick, className }, t(key));

/** A shape of the page: the `symbol` of that name in its HTML. Words beside it say the same. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** A text that follows the language. */
export function told(tag, key, properties = {}) {
  const element = make(tag, properties, t(key));
  element.dataset.t = key;
  return element;
}

/** Terms and what they are, without those that are absent. */
export function facts(pairs, className = "facts") {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return make("dl", { className }, shown.map(([key, value]) => make("div", {}, told("dt", key), make("dd", {}, value))));
}

/** A place for what an act gives: drawn again when the language changes. */
export function zone() {
  const element = make("div", { className: "zone" });
  element.show = (draw) => {
    element.draw = draw;
    element.replaceChildren(...[draw()].flat(2).filter((child) => child !== null && child !== undefined));
  };
  element.clear = () => {
    element.draw = undefined;
    element.replaceChildren();
  };
  return element;
}

/** Draws every place again. */
export function redraw() {
  for (const element of document.querySelectorAll(".zone")) if (element.isConnected && element.draw) element.show(element.draw);
}

/** Says at a field what is wrong with it; nothing: its first hint. */
export function mark(field, hint, wrong) {
  if (!hint) return;
  if (wrong) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
  hint.classList.toggle("wrong", wrong !== "");
  if (wrong) delete hint.dataset.t;
  else if (hint.dataset.first) hint.dataset.t = hint.dataset.first;
  hint.textContent = wrong || (hint.dataset.first ? t(hint.dataset.first) : "");
}

/** Buttons whose acts may be refused, why being said beside them in the words of the page. */
export const acts = (reasonOf) => (key, doing, className = "") => {
  const message = make("p", { className: "message", role: "alert" });
  const button = told("button", key, { type: "button", className });
  button.onclick = async () => {
    button.disabled = true;
    message.textContent = "";
    try {
      await doing();
    } catch (refusal) {
      if (!refusal.kind) throw refusal;
      message.textContent = reasonOf(refusal);
    } finally {
      button.disabled = false;
    }
  };
  return make("span", { className: "act" }, button, message);
};
