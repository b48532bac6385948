// What the page shows, kept in its address: a copied address shows the same.
// @ts-check

/**
 * @typedef {{rois: string[], brush: number[][], lasso: number[][], prefers: string}} Selected
 * @typedef {{kind: "concept" | "model" | "readout", value: string}} Other
 *
 * @typedef {object} State
 * @property {string} concept
 * @property {string} metric a quantity, or "labels", shown instead of the concept's similarity
 * @property {string} model an id, or ALL for all subjects together
 * @property {string} over what is shown of all subjects: mean, t, q or agree; empty for the mean
 * @property {number | null} smooth mm over which each subject's map is smoothed before
 * @property {number | null} groupq false discovery rate over subjects that a vertex must not exceed to be shown
 * @property {string} compare what a concept is compared with: weights, half, pattern, paper or labels; empty for the model's own way
 * @property {number | null} lo value of the first colour
 * @property {number | null} hi value of the last colour
 * @property {number | null} minz z that a voxel's similarity to the concept must reach
 * @property {number | null} maxq false discovery rate that a voxel's association with the concept must not exceed
 * @property {boolean} specific whether only voxels are shown to which the concept is specific
 * @property {boolean} significant whether only significant voxels are painted
 * @property {boolean} all whether voxels are shown, too, that contrast and edges may explain
 * @property {boolean} band whether voxels are greyed to which a concept is no more than a noun is
 * @property {boolean} opacity whether voxels are as opaque as they are predicted well
 * @property {number | null} voxel the voxel whose card is open
 * @property {string[]} rois regions that the list of voxels is limited to
 * @property {number[][]} brush discs (x, y, radius) and loops (x, y, x, y, x, y …) in thousandths of the flat map's width
 * @property {number[] | null} at centre in thousandths and enlargement in percent of the flat map; null for the first view
 * @property {Other[]} with what other maps stand beside the first, and differ from it in
 * @property {number[][]} lasso around dots of A (x) and B (y), in thousandths of their unit
 * @property {string} prefers "a" or "b" while the voxels that prefer it are selected
 * @property {Selected | null} kept selection A, while another one is made
 * @property {"flat" | "3d"} view
 * @property {string} surface the surface that is seen in 3-D
 * @property {number | null} unfold how far it is unfolded there: 0 folded, 100 inflated, 200 flat; null for as the surface is
 * @property {string} side a named side that it is seen from
 * @property {number[] | null} camera azimuth and elevation in degrees, distance in percent, of the 3-D view
 */

const METRICS = ["z", "r2", "r2_of_ceiling", "noise_ceiling", "r", "q", "food_t", "food_q", "labels"];
const COMPARED = ["half", "pattern", "weights", "paper", "labels"];
const MOST_DISCS = 300;
/** In place of a model: its network's subjects together. */
export const ALL = "all";
/** Maps side by side: more could not be told apart. */
export const MOST_PANELS = 6;

/** @returns {State} */
export function readState() {
  const given = new URLSearchParams(location.search);
  const one = (/** @type {string} */ name, /** @type {string[]} */ known) => known.find((item) => item === given.get(name)) ?? "";
  const number = (/** @type {string} */ name) => (given.get(name) ? finite(Number(given.get(name))) : null);
  const voxel = number("voxel");
  const camera = numbers(given.get("camera"), ",");
  const at = numbers(given.get("at"), "_");
  const together = given.get("model") === ALL;
  return {
    concept: (given.get("concept") ?? "").slice(0, 200),
    metric: together ? "" : one("show", METRICS),
    model: given.get("model") ?? "",
    over: one("over", ["t", "q", "agree"]),
    smooth: number("smooth"),
    groupq: number("groupq"),
    compare: one("compare", COMPARED),
    lo: number("lo"),
    hi: number("hi"),
    minz: number("minz"),
    maxq: number("maxq"),
    specific: given.get("specific") === "1",
    significant: given.get("significant") === "1",
    all: given.get("all") === "1",
    band: given.get("band") !== "0",
    opacity: given.get("opacity") === "1",
    voxel: voxel !== null && Number.isInteger(voxel) && voxel >= 0 ? voxel : null,
    ...selected(given, ""),
    kept: given.get("kept") === "1" && !together ? selected(given, "a-") : null,
    with: together ? [] : given.getAll("with").flatMap(other),
    at: at?.length === 3 ? at : null,
    view: given.get("view") === "3d" ? "3d" : "flat",
    surface: given.get("surface") ?? "",
    unfold: number("unfold"),
    side: given.get("side") ?? "",
    camera: camera?.length === 3 ? camera : null,
  };
}

/**
 * @param {State} state
 * @returns {string} the address that shows this state
 */
export function address(state) {
  const parts = new URLSearchParams();
  const put = (/** @type {string} */ name, /** @type {string | number | null} */ value) => value !== "" && value !== null && parts.set(name, String(value));
  put("concept", state.concept);
  // A picture is in no link.
  put("show", METRICS.includes(state.metric) ? state.metric : "");
  put("model", state.model);
  if (state.model === ALL) {
    put("over", state.over);
    put("smooth", state.smooth);
    put("groupq", state.groupq);
  }
  put("compare", state.compare);
  put("lo", state.lo);
  put("hi", state.hi);
  put("minz", state.minz);
  put("maxq", state.maxq);
  put("specific", state.specific ? 1 : "");
  put("significant", state.significant ? 1 : "");
  put("all", state.all ? 1 : "");
  put("band", state.band ? "" : 0);
  put("opacity", state.opacity ? 1 : "");
  put("voxel", state.voxel);
  const putSelected = (/** @type {Selected} */ { rois, brush, lasso, prefers }, /** @type {string} */ of) => {
    for (const roi of rois) parts.append(`${of}roi`, roi);
    put(`${of}brush`, places(brush));
    if (!state.with.length) return;
    put(`${of}lasso`, places(lasso));
    put(`${of}prefers`, prefers);
  };
  putSelected(state, "");
  put("kept", state.kept ? 1 : "");
  if (state.kept) putSelected(state.kept, "a-");
  for (const { kind, value } of state.with) parts.append("with", `${kind}:${value}`);
  put("at", state.at?.join("_") ?? "");
  if (state.view === "3d") {
    put("view", "3d");
    put("surface", state.surface);
    put("unfold", state.unfold);
    put("side", state.side);
    put("camera", state.camera?.join(",") ?? "");
  }
  const text = parts.toString();
  return location.pathname + (text ? `?${text}` : "");
}

/**
 * @param {string} text
 * @returns {Other[]} none where it cannot be understood
 */
function other(text) {
  const [, kind, value] = text.match(/^(concept|model|readout):(.{1,300})$/s) ?? [];
  if (!kind || (kind === "readout" && !COMPARED.includes(value))) return [];
  return [{ kind: /** @type {Other["kind"]} */ (kind), value }];
}

/**
 * @param {URLSearchParams} given
 * @param {string} of before the names of its parts
 * @returns {Selected}
 */
function selected(given, of) {
  const parts = (/** @type {string} */ name, /** @type {(length: number) => boolean} */ known) =>
    (given.get(of + name) ?? "").split(" ").map((place) => numbers(place, "_") ?? []).filter((place) => known(place.length)).slice(0, MOST_DISCS);
  const drawn = (/** @type {number} */ length) => length === 3 || (length >= 6 && length % 2 === 0);
  return { rois: given.getAll(`${of}roi`), brush: parts("brush", drawn), lasso: parts("lasso", (length) => length === 2), prefers: ["a", "b"].find((side) => side === given.get(`${of}prefers`)) ?? "" };
}

/** @param {number[][]} all */
function places(all) {
  return all.map((place) => place.join("_")).join(" ");
}

/** @param {number} value */
function finite(value) {
  return Number.isFinite(value) ? value : null;
}

/**
 * @param {string | null} text
 * @param {string} mark between the numbers
 */
function numbers(text, mark) {
  const parts = text ? text.split(mark).map(Number) : [];
  return parts.length && parts.every(Number.isFinite) ? parts : null;
}
