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
