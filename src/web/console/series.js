// What the charts draw, from counts that nodes told: rates between two moments, quantiles, gaps. Each node's samples are kept apart,
// for a balancer may send polls to different ones; a count that falls draws nothing. No element of the page is touched here.

const keptMs = 3_700_000;
const gapMs = 30_000; // a longer time between two samples of a node is not bridged
const liveMs = 15_000;

export const stepMs = 5_000;

const flat = (events) => Object.fromEntries(events.map(({ name, count }) => [name, count]));

/** A sample as the service gives it, in numbers. */
export function read(sample) {
  return {
    t: Date.parse(sample.at),
    checks: sample.checks,
    buckets: sample.check_buckets,
    limited: flat(sample.limited),
    problems: flat(sample.problems),
    sequence: sample.registry_sequence,
    age: sample.registry_age_milliseconds,
    numbers: sample.numbers_listed,
  };
}

/** As Prometheus's histogram_quantile: within a bucket observations are taken to be spread evenly. `grown` counts those below too. */
export function quantile(bounds, grown, part) {
  const all = grown.at(-1);
  if (!(all > 0)) return null;
  const rank = part * all;
  const at = grown.findIndex((count) => count >= rank);
  if (at >= bounds.length) return bounds.at(-1);
  const [below, lower] = at > 0 ? [grown[at - 1], bounds[at - 1]] : [0, 0];
  const here = grown[at] - below;
  return here > 0 ? lower + ((bounds[at] - lower) * (rank - below)) / here : bounds[at];
}

export class Series {
  nodes = new Map(); // node id -> samples by time
  bounds = [];
  outages = []; // [from, to]; to is Infinity while there is no answer

  /** Adds samples of a node, in any order, each moment once. */
  add(node, samples) {
    const known = this.nodes.get(node) ?? [];
    const moments = new Set(known.map((sample) => sample.t));
    const all = [...known, ...samples.filter((sample) => !moments.has(sample.t))].sort((a, b) => a.t - b.t);
    const newest = all.at(-1)?.t ?? 0;
    this.nodes.set(node, all.filter((sample) => sample.t > newest - keptMs));
    for (const [id, of] of this.nodes) if ((of.at(-1)?.t ?? 0) < newest - keptMs) this.nodes.delete(id);
  }

  /** The page got no answer from this moment on. */
  failed(at) {
    if (this.outages.at(-1)?.[1] !== Infinity) this.outages.push([at, Infinity]);
  }

  answered(at) {
    const last = this.outages.at(-1);
    if (last?.[1] === Infinity) last[1] = at;
    this.outages = this.outages.filter(([, to]) => to > at - keptMs);
  }

  /** The newest moment up to which every node that answers has reported. */
  edge() {
    const last = [...this.nodes.values()].map((samples) => samples.at(-1)?.t ?? 0);
    const newest = Math.max(0, ...last);
    return Math.min(newest, ...last.filter((t) => t > newest - liveMs));
  }

  /** The moments of a chart, oldest first, the last one at the edge. */
  grid(rangeMs) {
    const edge = this.edge();
    const count = Math.floor(rangeMs / stepMs);
    return Array.from({ length: count + 1 }, (_, at) => edge - (count - at) * stepMs);
  }

  #inOutage(from, to) {
    return this.outages.some(([begin, end]) => from < end && to > begin);
  }

  /** Sums what `of(at, before)` says about each node that reports both ends of a cell; null where none does. */
  #cells(grid, spanMs, of) {
    const sources = [...this.nodes.values()].map((samples) => ({ samples, to: 1, from: 1 }));
    return grid.map((t) => {
      if (this.#inOutage(t - stepMs, t)) return null;
      let sum = null;
      for (const source of sources) {
        const { samples } = source;
        if (samples.length < 2 || t > samples.at(-1).t || t - stepMs < samples[0].t) continue;
        const begin = Math.max(samples[0].t, t - spanMs);
        source.to = seek(samples, source.to, t);
        source.from = seek(samples, source.from, begin);
        const [now, then] = [between(samples, source.to, t), between(samples, source.from, begin)];
        if (!now || !then) continue;
        sum = of(sum, now, then, (t - begin) / 1000);
      }
      return sum;
    });
  }

  /** How fast a count grows by the second, all nodes together. */
  rate(grid, pick) {
    return this.#cells(grid, stepMs, (sum, now, then, seconds) => {
      const grown = now(pick) - then(pick);
      return grown >= 0 ? (sum ?? 0) + grown / seconds : sum;
    });
  }

  /** By how much a count grew over a chart, all nodes together. */
  grown(grid, pick) {
    return this.rate(grid, pick).reduce((sum, rate) => sum + (rate ?? 0) * (stepMs / 1000), 0);
  }

  /** Quantiles of the time of a check over the last half minute of each moment, in seconds: one list for each part. */
  quantiles(grid, parts) {
    const grown = this.#cells(grid, 30_000, (sum, now, then) => {
      const counts = this.bounds.concat(Infinity).map((_, at) => now((sample) => sample.buckets[at]) - then((sample) => sample.buckets[at]));
      if (counts.some((count) => count < 0)) return sum;
      return sum ? counts.map((count, at) => count + sum[at]) : counts;
    });
    return parts.map((part) => grown.map((counts) => (counts ? quantile(this.bounds, counts, part) : null)));
  }

  /** The last sample of each node that answers. */
  latest() {
    const newest = Math.max(0, ...[...this.nodes.values()].map((samples) => samples.at(-1)?.t ?? 0));
    const last = [...this.nodes].map(([node, samples]) => ({ node, ...samples.at(-1) }));
    return last.filter((sample) => sample.t > newest - liveMs);
  }

  /** A figure of one node at each moment, as last told. */
  gauge(grid, node, pick) {
    const samples = this.nodes.get(node) ?? [];
    let next = 0;
    return grid.map((t) => {
      while (next < samples.length && samples[next].t <= t) next++;
      const last = samples[next - 1];
      return last && t - last.t < gapMs && !this.#inOutage(t - stepMs, t) ? pick(last) : null;
    });
  }
}

/** The first sample at or after a moment, from where the last search ended. */
function seek(samples, at, t) {
  while (at < samples.length - 1 && samples[at].t < t) at++;
  return at;
}

/** What a node would have told at a moment between two samples; null in a gap. */
function between(samples, at, t) {
  const [before, after] = [samples[at - 1], samples[at]];
  if (t === after.t || t === before.t) return (pick) => pick(t === after.t ? after : before) ?? 0;
  if (t < before.t || t > after.t || after.t - before.t > gapMs) return null;
  const part = (t - before.t) / (after.t - before.t);
  return (pick) => {
    const [a, b] = [pick(before) ?? 0, pick(after) ?? 0];
    return b >= a ? a + (b - a) * part : NaN;
  };
}
