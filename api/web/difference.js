// A − B of two maps of one subject: its values and colours, and how sure the sign is where both are concepts of one model.
// @ts-check
import { falseDiscovery, upperTail } from "./clusters.js";
import { figure, rate } from "./dom.js";
import { coloured, ofConcept } from "./shown.js";

export const FDR = 0.05;
// As pale as voxels out of focus.
const PALE = 64;

/**
 * @typedef {import("./shown.js").Shown} Shown
 * @typedef {object} Difference
 * @property {Float32Array} value one per voxel, NaN where either has none
 * @property {Float32Array | null} q the false discovery rate of each voxel's preference; null without a test
 * @property {Shown} shown
 */

/**
 * The state whose map is A − B as one concept: z of "A - B".
 * @param {import("./state.js").State} state
 * @returns {import("./state.js").State | null} null unless both are concepts of one model that z is known of
 */
export function contrastOf(state) {
  const [other] = state.with;
  if (other?.kind !== "concept" || !ofConcept(state) || ["labels", "paper"].includes(state.compare)) return null;
  return { ...state, concept: `${state.concept} - ${turned(other.value)}`, metric: "z", lo: null, hi: null, minz: null, maxq: null, specific: false };
}

/**
 * @param {Shown} one a map with values
 * @param {Shown} other likewise, of the same voxels
 * @param {{header: any, arrays: Record<string, any>} | null} contrast /values of A − B with its evidence; null without
 * @returns {Difference | null} null where one of them is no map of values
 */
export function difference(one, other, contrast) {
  if (!one.values || !other.values || !one.scale) return null;
  const [a, b] = [one.values, other.values];
  const all = contrast ? /** @type {Float32Array} */ (contrast.arrays.value) : a.map((value, voxel) => value - b[voxel]);
  const value = all.map((each, voxel) => (Number.isNaN(a[voxel] + b[voxel]) ? NaN : each));
  const reach = contrast ? contrast.header.hi : largest(value) || 1;
  const scale = { table: contrast ? contrast.arrays.colour : one.scale.table, lo: -reach, hi: reach, logarithmic: false, fixed: Boolean(contrast) };
  const q = contrast ? eachWay(value, contrast.arrays.z, contrast.arrays.concept_q) : null;
  return {
    value,
    q,
    shown: {
      ...one,
      values: value,
      scale,
      unit: contrast ? "z of A − B" : `difference of ${one.unit}${other.unit === one.unit ? "" : ` and ${other.unit}`}`,
      colours: coloured(value, scale),
      opacity: q ? Uint8Array.from(q, (each) => (each <= FDR ? 255 : PALE)) : null,
      leftOut: q ? `pale where q > ${FDR} either way` : one.leftOut,
      band: 0,
      text: (voxel) => (q ? `z ${figure(value[voxel], 1)}, ${rate(q[voxel])}` : figure(value[voxel], 3)),
    },
  };
}

/**
 * The voxels that prefer a side: for sure, where there is a test.
 * @param {Difference} between
 * @param {string} side a or b
 */
export function preferring({ value, q }, side) {
  return [...value.keys()].filter((voxel) => (side === "a" ? value[voxel] > 0 : value[voxel] < 0) && (!q || q[voxel] <= FDR));
}

/**
 * How far values reach, but for one in a hundred.
 * @param {Float32Array} values
 */
function largest(values) {
  const sizes = values.filter((value) => !Number.isNaN(value)).map(Math.abs).sort();
  return sizes[Math.floor(0.99 * (sizes.length - 1))];
}

/**
 * The false discovery rate of A where A is preferred, and of B where B is: z of B − A is that of A − B with its sign turned.
 * @param {Float32Array} value z of the voxels that are shown
 * @param {Float32Array} z of all voxels, over which the rates are
 * @param {Float32Array} rates of A
 */
function eachWay(value, z, rates) {
  const others = falseDiscovery(Array.from(z, (one) => upperTail(-one)));
  return value.map((one, voxel) => (Number.isNaN(one) ? NaN : one > 0 ? rates[voxel] : others[voxel]));
}

/**
 * Another concept less this one: in "a - (b - c)" the signs turn.
 * @param {string} concept
 */
function turned(concept) {
  return concept.replace(/(\s)([+−-])(\s)/g, (_, before, sign, after) => before + (sign === "+" ? "-" : "+") + after);
}
