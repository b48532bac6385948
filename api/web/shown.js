// What is painted: a colour for each voxel, with its value in words.
// @ts-check
import { figure, rate } from "./dom.js";
import { getArrays, patiently } from "./server.js";

// Opacity of voxels to which a concept is no more than a noun is.
const FAINT = 0.15;

/**
 * @typedef {object} Shown
 * @property {Uint32Array} colours one per voxel, 0xffbbggrr; 0 where nothing is painted
 * @property {Uint8Array | null} opacity one per voxel, 0 to 255; null where all are opaque
 * @property {Float32Array | null} values one per voxel, NaN for none; null where colours stand for labels
 * @property {(voxel: number) => string} text what the voxel shows
 * @property {Scale | null} scale what the colours mean
 * @property {{text: string, colour: string}[]} names labels and their colours
 * @property {number} band how many nouns say which voxels are greyed, as the concept is no more to them than a noun is; 0 where none are
 * @property {string} readout which vector of a voxel is compared; empty where none is
 * @property {string} title
 * @property {string} unit
 * @property {string} leftOut what the map does not show; "" for nothing
 * @property {string} heldTo what voxels must pass to be shown; "" for nothing beyond the defaults
 * @property {string} model
 * @property {boolean} simulated whether its responses were computed
 * @property {string[]} warnings sentences that question what is shown
 * @property {import("./picture.js").Asked} [picture] to which it is the response
 * @property {Record<string, ArrayLike<string | number>>} [columns] what else a table of it has of each voxel, by name
 *
 * @typedef {object} Scale
 * @property {Uint8Array} table 256 × RGB
 * @property {number} lo
 * @property {number} hi
 * @property {boolean} logarithmic whether equal steps of colour are equal ratios
 * @property {boolean} fixed whether it is the same for all concepts of the model
 */

/** First labels of a model's voxels. */
export class TopLabels {
  /**
   * @param {string[]} labels the most common first
   * @param {Int32Array} of which of them each voxel has, −1 for none
   * @param {string} method
   * @param {boolean} all whether voxels are among them that contrast and edges may explain
   */
  constructor(labels, of, method, all) {
    this.all = all;
    this.labels = labels;
    this.of = of;
    this.method = method;
  }

  /** @param {number} voxel */
  text(voxel) {
    return this.labels[this.of[voxel]] ?? "";
  }

  /**
   * The labels that come first most often among these voxels (figure 3 of the paper).
   * @param {Iterable<number>} voxels
   */
  count(voxels) {
    /** @type {Map<number, number>} */
    const counts = new Map();
    let labelled = 0;
    for (const voxel of voxels) {
      const label = this.of[voxel];
      if (label === undefined || label < 0) continue;
      counts.set(label, (counts.get(label) ?? 0) + 1);
      labelled++;
    }
    const most = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    return { labelled, most: most.map(([label, n]) => ({ text: this.labels[label], n })) };
  }
}

/** @param {import("./state.js").State} state */
export async function topLabels({ model, all }) {
  const { header, arrays } = await getArrays(`toplabels?${new URLSearchParams({ model, ...(all && { semantic: "0" }) })}`);
  return new TopLabels(header.labels, arrays.label, header.method, all);
}

/**
 * Values and their colours.
 * @param {import("./state.js").State} state
 * @param {AbortSignal} signal
 * @param {import("./picture.js").Asked | null} [picture] what is asked in place of the state's concept or quantity
 * @returns {Promise<{header: any, shown: Shown}>}
 */
export async function values(state, signal, picture = null) {
  const band = { ...(ofConcept(state) && state.band && { band: "1" }) };
  const { metric, ...others } = asked(state);
  const path = `values?${new URLSearchParams({ ...others, ...(metric && !picture && { metric }), ...band })}`;
  const { header, arrays } = await getArrays(path, signal, picture?.file);
  const { lo, hi, logarithmic, fixed } = header;
  /** @type {{value: Float32Array, colour: Uint8Array, alpha?: Float32Array, inside?: Float32Array}} */
  const { value, colour, alpha, inside } = /** @type {any} */ (arrays);
  const colours = coloured(value, { table: colour, lo, hi, logarithmic, fixed });
  return {
    header,
    shown: {
      colours,
      opacity: alpha || inside ? Uint8Array.from(value, (_, voxel) => Math.round(255 * (alpha?.[voxel] ?? 1) * (inside?.[voxel] ? FAINT : 1))) : null,
      band: inside ? header.n_words : 0,
      values: value,
      text: (voxel) => (logarithmic ? rate(value[voxel]) : figure(value[voxel], 3)),
      scale: { table: colour, lo, hi, logarithmic, fixed },
      names: [],
      readout: header.readout ?? "",
      title: header.title,
      unit: `${header.unit}${header.how ? ` (${header.how})` : ""}`,
      leftOut: [header.left_out, inside ? `grey voxels are as similar to it as nine in ten of ${header.n_words} nouns` : ""].filter(Boolean).join("; "),
      heldTo: header.held_to,
      model: header.model,
      simulated: header.simulated,
      warnings: header.warnings,
      ...(picture && { picture }),
    },
  };
}

/**
 * The colour of each value on a scale; 0 for NaN.
 * @param {Float32Array} values
 * @param {Scale} scale
 */
export function coloured(values, { table, lo, hi, logarithmic }) {
  const packed = Uint32Array.from({ length: 256 }, (_, step) => pack(table[step * 3], table[step * 3 + 1], table[step * 3 + 2]));
  const place = logarithmic ? Math.log10 : (/** @type {number} */ value) => value;
  const [start, steps] = [place(lo), 256 / (place(hi) - place(lo))];
  return Uint32Array.from(values, (value) => (Number.isNaN(value) ? 0 : packed[Math.max(0, Math.min(255, Math.floor((place(value) - start) * steps)))]));
}

/**
 * First labels in the colours of their meaning.
 * @param {string} model
 * @param {TopLabels} top
 * @param {AbortSignal} signal
 * @param {(sentence: string) => void} tell hears how far the server is, which works the colours out once
 * @returns {Promise<Shown>}
 */
export async function labelColours(model, top, signal, tell) {
  const path = `labelcolours?${new URLSearchParams({ model, ...(top.all && { semantic: "0" }) })}`;
  const { header, arrays } = await patiently(() => getArrays(path, signal), tell);
  const { rgb } = arrays;
  const place = new Map(header.labels.map((/** @type {string} */ label, /** @type {number} */ index) => [label, index]));
  const of = top.labels.map((label) => /** @type {number | undefined} */ (place.get(label)));
  const packed = of.map((at) => (at === undefined ? 0 : pack(rgb[at * 3], rgb[at * 3 + 1], rgb[at * 3 + 2])));
  const trust = header.trustworthiness === null ? "" : `, trustworthiness ${figure(header.trustworthiness)}`;
  return {
    colours: Uint32Array.from(top.of, (label) => packed[label] ?? 0),
    opacity: null,
    values: null,
    text: (voxel) => top.text(voxel),
    scale: null,
    names: header.legend.map((/** @type {string} */ text) => {
      const at = /** @type {number} */ (place.get(text)) * 3;
      return { text, colour: `rgb(${rgb[at]} ${rgb[at + 1]} ${rgb[at + 2]})` };
    }),
    band: 0,
    readout: "",
    title: "First labels, coloured by meaning",
    unit: `UMAP colours of ${header.labels.length} labels${trust}`,
    leftOut: header.left_out,
    heldTo: header.held_to,
    model: header.model,
    simulated: header.simulated,
    warnings: [],
  };
}

/**
 * The query string of /values, which is also what the pictures and CSV files show.
 * @param {import("./state.js").State} state
 * @returns {Record<string, string>}
 */
export function asked(state) {
  const metric = metricOf(state);
  return {
    ...(metric && { metric }),
    ...(ofConcept(state) && { concept: state.concept }),
    ...(ofConcept(state) && state.compare === "labels" && { by: "labels" }),
    ...(ofConcept(state) && readoutOf(state) && { readout: readoutOf(state) }),
    ...(ofConcept(state) && state.compare === "paper" && { baseline: "none" }),
    ...(limits(state)?.minZ != null && { min_z: String(state.minz) }),
    ...(limits(state)?.maxQ != null && { max_q: String(state.maxq) }),
    ...(limits(state)?.specific && { specific: "1" }),
    ...(state.model && { model: state.model }),
    ...(state.lo !== null && { lo: String(state.lo) }),
    ...(state.hi !== null && { hi: String(state.hi) }),
    ...(state.significant && { significant: "1" }),
    ...(state.all && { semantic: "0" }),
    ...(state.opacity && { alpha: "r2" }),
  };
}

/**
 * The readout that was chosen; empty for the model's own.
 * @param {import("./state.js").State} state
 */
export function readoutOf(state) {
  if (state.compare === "paper") return "weights";
  return ["weights", "half", "pattern"].includes(state.compare) ? state.compare : "";
}

/**
 * The metric that is shown; empty for a concept. Where nothing was asked, it is how well voxels are predicted.
 * @param {import("./state.js").State} state
 */
export function metricOf(state) {
  if (!state.concept && ["", "z"].includes(state.metric)) return "r2";
  return state.metric;
}

/**
 * Whether a concept is shown: its similarity, or its z.
 * @param {import("./state.js").State} state
 */
export function ofConcept(state) {
  return ["", "z"].includes(metricOf(state));
}

/**
 * What a concept's voxels must pass; null where nothing can be asked of them: labels have no z.
 * @param {import("./state.js").State} state
 */
export function limits(state) {
  return ofConcept(state) && state.compare !== "labels" ? { minZ: state.minz, maxQ: state.maxq, specific: state.specific } : null;
}

/**
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 */
export function pack(red, green, blue) {
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}
