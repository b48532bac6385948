// Two selections of voxels side by side: how well they are predicted, what they show, and which labels come first in them.
// @ts-check
import { difference, falseDiscovery, inBlocks, LEAST_BLOCKS, mean } from "./clusters.js";
import { figure, find, make, plainRate, table } from "./dom.js";
import { cell, save } from "./files.js";
import { getArrays } from "./server.js";

const FEWEST = 3;
const MOST = 12;

/**
 * @typedef {{title: string, voxels: Set<number>}} Selection
 * @typedef {object} Known what is known of voxels
 * @property {import("./shown.js").TopLabels | null} labels
 * @property {import("./shown.js").Shown | null} shown
 * @property {Float32Array} mm
 *
 * @typedef {{name: string, a: {n: number, mean: number}, b: {n: number, mean: number}, p: number, q: number}} Row
 */

export class Selections {
  /** @param {() => void} forget called when the person wants no A any more */
  constructor(forget) {
    this.place = find("selections", HTMLElement);
    this.forget = forget;
    this.model = "";
    /** Which model was asked of last. */
    this.wanted = "";
    /** @type {Record<string, Float32Array>} */
    this.quality = {};
  }

  /**
   * Fetches how well a model predicts its voxels, once.
   * @param {string} model
   */
  async measure(model) {
    this.wanted = model;
    if (this.model === model) return;
    const metrics = ["r2", "noise_ceiling"];
    const answers = await Promise.all(metrics.map((metric) => getArrays(`values?${new URLSearchParams({ metric, model })}`)));
    if (this.wanted !== model) return;
    this.model = model;
    this.quality = Object.fromEntries(metrics.map((metric, at) => [metric, answers[at].arrays.value]));
  }

  /**
   * @param {Selection | null} a
   * @param {Selection | null} b
   * @param {Known} known
   */
  show(a, b, known) {
    this.place.hidden = !a;
    if (!a) return;
    const close = make("button", { type: "button", class: "quiet", "aria-label": "Forget A", click: () => this.forget() }, "×");
    const count = (/** @type {Selection} */ { title, voxels }) => `${title}, ${voxels.size.toLocaleString("en")} ${voxels.size === 1 ? "voxel" : "voxels"}`;
    const head = make("header", {}, make("div", {}, make("h2", {}, "Selections A and B"), make("p", { class: "note" }, `A: ${count(a)}`), make("p", { class: "note" }, b ? `B: ${count(b)}` : "Now select B: brush, encircle, choose regions, or draw a lasso around dots of a comparison.")), close);
    if (!b || !a.voxels.size || !b.voxels.size) {
      this.place.replaceChildren(head, ...(b ? [make("p", { class: "note" }, "One of them holds no voxel.")] : []));
      return;
    }
    const { means, labels } = held(a, b, known, this.quality);
    const both = [...a.voxels].filter((voxel) => b.voxels.has(voxel)).length;
    const shown = (/** @type {string} */ first, /** @type {Row[]} */ rows, /** @type {(one: {n: number, mean: number}) => string} */ write) =>
      table([first, "A", "B", "q"], rows.map(({ name, a: one, b: other, q }) => [name, write(one), write(other), plainRate(q)]));
    this.place.replaceChildren(
      head,
      ...(both ? [make("p", { class: "note" }, both === 1 ? "1 voxel is in both." : `${both.toLocaleString("en")} voxels are in both.`)] : []),
      shown("Mean of", means, ({ mean: value }) => figure(value, 3)),
      make("h3", {}, "First labels"),
      labels.length ? shown("Label", labels.slice(0, MOST), ({ n, mean: share }) => (n ? `${Math.round(100 * share)} %` : "–")) : make("p", { class: "note" }, "No label comes first in three voxels."),
      make("p", { class: "note" }, `Shares of the labelled voxels. q is over the rows of a table, of a test that counts blocks of 1 cm of cortex and not voxels, as neighbours are alike; it needs ${LEAST_BLOCKS} blocks in each.`),
      make("button", { type: "button", class: "chip", click: () => save(new Blob([csv([...means, ...labels])], { type: "text/csv" }), `${known.shown?.model ?? "voxels"} ${a.title} against ${b.title}`, "csv") }, "All rows (CSV)"),
    );
  }
}

/**
 * @param {Selection} a
 * @param {Selection} b
 * @param {Known} known
 * @param {Record<string, Float32Array>} quality r2 and noise_ceiling, one per voxel
 */
function held(a, b, { labels, shown, mm }, quality) {
  const row = (/** @type {string} */ name, /** @type {(voxel: number) => number} */ valueOf) => {
    const [one, other] = [a, b].map(({ voxels }) => inBlocks(voxels, valueOf, mm));
    return { name, a: mean(one), b: mean(other), p: difference(one, other), q: NaN };
  };
  const of = (/** @type {Float32Array | null | undefined} */ values) => (/** @type {number} */ voxel) => values?.[voxel] ?? NaN;
  const means = [
    ...(shown?.values ? [row(shown.unit, of(shown.values))] : []),
    row("R² on test images", of(quality.r2)),
    row("noise ceiling", of(quality.noise_ceiling)),
  ];
  const counts = labels?.count(new Set([...a.voxels, ...b.voxels])).most.filter(({ n }) => n >= FEWEST) ?? [];
  const rows = counts.map(({ text }) => row(text, (voxel) => (labels && labels.text(voxel) ? Number(labels.text(voxel) === text) : NaN)));
  for (const tested of [means, rows]) falseDiscovery(tested.map(({ p }) => p)).forEach((q, at) => { tested[at].q = q; });
  const apart = (/** @type {Row} */ one) => Math.abs(one.a.mean - one.b.mean);
  rows.sort((one, other) => apart(other) - apart(one) || other.a.n + other.b.n - one.a.n - one.b.n);
  return { means, labels: rows };
}

/** @param {Row[]} rows */
function csv(rows) {
  const number = (/** @type {number} */ value) => (Number.isNaN(value) ? "" : value);
  const lines = rows.map(({ name, a, b, p, q }) => [cell(name), number(a.mean), a.n, number(b.mean), b.n, number(p), number(q)].join(","));
  return ["row,mean_a,n_a,mean_b,n_b,p,q", ...lines, ""].join("\r\n");
}
