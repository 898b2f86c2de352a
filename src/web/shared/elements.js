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
