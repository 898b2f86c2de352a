// A chart: lines by uPlot, a legend in words beside them, a sentence for screen readers, and the figures as a table.
// Lines differ by colour, by dashes and by their words.

import { make } from "../web/elements.js";
import { language, localTime, t } from "../web/i18n.js";

// A script of its own before this one: its module is three times as large.
const { uPlot } = globalThis;
const dashes = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 4], [1, 4]];
const height = 190;
// Seconds between two moments on an axis; without two and three minutes a narrow chart of five has one.
const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A moment of today. */
export const clock = (at) => localTime(at, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** A number, short. */
export const short = (value, digits = 3) =>
  new Intl.NumberFormat(language(), { maximumSignificantDigits: digits, notation: Math.abs(value) >= 100_000 ? "compact" : "standard" }).format(value);

/** Seconds in a unit that suits them. */
export function duration(seconds) {
  if (seconds === 0) return "0 s";
  if (seconds < 1e-3) return `${short(seconds * 1e6)} µs`;
  if (seconds < 1) return `${short(seconds * 1e3)} ms`;
  return `${short(seconds)} s`;
}

/** The powers of ten on an axis. */
const powers = (_, __, low, high) => {
  const [first, last] = [low, high].map((value) => Math.round(Math.log10(value)));
  return Array.from({ length: last - first + 1 }, (_, at) => 10 ** (first + at));
};

function swatch(at) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "line");
  for (const [name, value] of Object.entries({ x1: 1, x2: 27, y1: 5, y2: 5, "stroke-dasharray": dashes[at % dashes.length].join(" ") })) line.setAttribute(name, value);
  svg.setAttribute("viewBox", "0 0 28 10");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `swatch line-${at % dashes.length}`);
  svg.append(line);
  return svg;
}

export class Chart {
  #plot = null;
  #shape = "";

  /** `format` writes a value; `isLog` for what spans powers of ten; `least`: the axis reaches at least so far. */
  constructor(key, { format = short, isLog = false, least = 1, empty = "chart_empty" } = {}) {
    Object.assign(this, { key, format, isLog, least, empty });
    this.title = make("h2", { id: `chart-${key}` });
    this.about = make("p", { className: "hint" });
    this.legend = make("ul", { className: "legend" });
    this.area = make("div", { className: "plot" });
    this.area.setAttribute("role", "img");
    this.none = make("p", { className: "none", hidden: true });
    this.summary = make("summary");
    this.table = make("div", { className: "scroll", tabIndex: 0 });
    this.table.setAttribute("role", "region");
    this.details = make("details", {}, this.summary, this.table);
    this.details.ontoggle = () => this.#renderTable();
    this.element = make("section", { className: "panel chart" }, this.title, this.about, this.legend, make("div", { className: "frame" }, this.area, this.none), this.details);
    this.element.setAttribute("aria-labelledby", this.title.id);
    new ResizeObserver(() => this.#plot?.setSize({ width: this.area.clientWidth, height })).observe(this.area);
  }

  /** Draws lines ({name, values}) over moments in milliseconds. */
  draw(grid, lines) {
    Object.assign(this, { grid, lines });
    this.title.textContent = t(`${this.key}_title`);
    this.about.textContent = t(`${this.key}_about`);
    this.summary.textContent = t("as_table");
    this.table.setAttribute("aria-label", t("table_of", { title: t(`${this.key}_title`) }));
    const last = ({ values }) => values.findLast((value) => value !== null) ?? null;
    const told = (value) => (value === null ? "–" : this.format(value));
    this.legend.replaceChildren(...lines.map((line, at) => make("li", {}, swatch(at), make("span", {}, line.name), make("b", {}, told(line.values.at(-1) ?? null)))));
    const isEmpty = lines.every((line) => last(line) === null);
    this.none.hidden = !isEmpty;
    this.none.textContent = t(this.empty);
    const most = (line) => Math.max(...line.values.filter((value) => value !== null));
    const sentences = lines.map((line) => (last(line) === null ? null : t("line_told", { name: line.name, now: told(last(line)), most: told(most(line)) })));
    this.area.setAttribute("aria-label", `${t(`${this.key}_title`)}. ${isEmpty ? t(this.empty) : sentences.filter(Boolean).join(" ")}`);
    // Zero has no place on an axis of powers of ten.
    const values = lines.map((line) => (this.isLog ? line.values.map((value) => (value > 0 ? value : null)) : line.values));
    const data = [grid.map((at) => at / 1000), ...values];
    const shape = [language(), ...lines.map((line) => line.name)].join("\n");
    if (shape !== this.#shape || !this.#plot) {
      this.#shape = shape;
      this.restyle(data);
    } else {
      this.#plot.setData(data);
    }
    this.#renderTable();
  }

  /** Makes the plot again: other lines, another language, other colours. */
  restyle(data = this.#plot?.data) {
    if (!data) return;
    this.#plot?.destroy();
    const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: `12px ${css("--sans")}` };
    const moments = (_, splits) => splits.map((at) => localTime(at * 1000, { hour: "2-digit", minute: "2-digit", second: splits.length > 1 && splits[1] - splits[0] < 60 ? "2-digit" : undefined, hourCycle: "h23" }));
    const range = this.isLog
      ? (_, low, high) => [10 ** Math.floor(Math.log10(low || 1e-5)), 10 ** Math.ceil(Math.log10(Math.max(high || 1e-3, (low || 1e-5) * 10)))]
      : (_, __, high) => [0, Math.max(this.least, (high ?? 0) * 1.15)];
    const options = {
      width: this.area.clientWidth || 320,
      height,
      legend: { show: false },
      cursor: { points: { size: 7 }, drag: { x: false, y: false }, sync: { key: "console" } },
      padding: [8, 12, 0, 0],
      scales: { x: { time: true }, y: this.isLog ? { distr: 3, range } : { range } },
      axes: [
        { ...axis, values: moments, incrs: steps, space: 70, size: 28 },
        { ...axis, size: 62, gap: 4, ...(this.isLog && { splits: powers }), values: (_, splits) => splits.map((value) => (value === null ? "" : this.format(value))) },
      ],
      series: [{}, ...data.slice(1).map((_, at) => ({ stroke: css(`--line-${at % dashes.length}`), width: 2, dash: dashes[at % dashes.length], points: { show: false }, spanGaps: false }))],
    };
    this.#plot = new uPlot(options, data, this.area);
  }

  #renderTable() {
    if (!this.details.open || !this.grid) return;
    // A dozen rows, the latest first: what a listener takes in.
    const every = Math.max(1, Math.floor(this.grid.length / 12));
    const rows = this.grid.map((at, index) => [at, index]).reverse().filter((_, index) => index % every === 0).slice(0, 12);
    const head = make("tr", {}, make("th", { scope: "col" }, t("time")), this.lines.map((line) => make("th", { scope: "col" }, line.name)));
    const cell = (line, index) => make("td", {}, line.values[index] === null ? t("no_answer_cell") : this.format(line.values[index]));
    const body = rows.map(([at, index]) => make("tr", {}, make("th", { scope: "row" }, clock(at)), this.lines.map((line) => cell(line, index))));
    this.table.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, body)));
  }
}
