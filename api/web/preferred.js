// What is said below A − B: its colour bar, the share of voxels that prefer A, and switches that select those of a side.
// @ts-check
import { FDR, preferring } from "./difference.js";
import { figure, make } from "./dom.js";
import { paintRamp } from "./legend.js";
import { preference } from "./preference.js";

/**
 * @param {import("./difference.js").Difference} between
 * @param {string[]} names what A and B are
 * @param {{among: Set<number> | null, prefers: string, mm: Float32Array}} selected voxels that are counted, null for all; the side that is selected; where voxels lie
 * @param {(side: string) => void} select hears the side that is wanted, or "" for none
 * @returns {HTMLElement[]}
 */
export function preferred(between, [a, b], { among, prefers, mm }, select) {
  const { value, q, shown: { unit, scale } } = between;
  const { table, lo: low, hi: high } = /** @type {import("./shown.js").Scale} */ (scale);
  const prefer = (/** @type {string} */ side) => (q ? `prefer ${side.toUpperCase()}` : `are higher in ${side.toUpperCase()}`);
  const ramp = make("canvas", { width: 256, height: 1, class: "ramp", role: "img", "aria-label": `Colour bar: ${unit} from ${figure(low)} to ${figure(high)}` });
  paintRamp(ramp, table);
  const chips = ["a", "b"].map((side) => {
    const n = preferring(between, side).length.toLocaleString("en");
    const attributes = { type: "button", class: "chip", "aria-pressed": String(prefers === side), click: () => select(prefers === side ? "" : side) };
    return make("button", attributes, `Select the ${n} that ${prefer(side)}, ${side === "a" ? a : b}`);
  });
  return [
    ramp,
    make("div", { class: "ticks" }, ...[low, 0, high].map((tick) => make("span", {}, figure(tick)))),
    make("p", { class: "note" }, `${unit}${q ? `; voxels with q > ${FDR} are pale (over all voxels of the model, each way).` : ". Both maps come from the same responses, so that this difference has no test."}`),
    make("p", { class: "share" }, share(value, among, mm, `${prefer("a")}, ${a}`)),
    make("p", { class: "chips" }, ...chips),
  ];
}

/**
 * @param {Float32Array} value A − B
 * @param {Set<number> | null} among
 * @param {Float32Array} mm
 * @param {string} what the voxels do whose value is above 0
 */
function share(value, among, mm, what) {
  const found = preference(value, among, mm);
  const where = among ? "selected " : "";
  if (!found.n) return `No ${where}voxel has both values.`;
  const percent = (/** @type {number} */ part) => Math.round(100 * part);
  const over = found.blocks ? "blocks of 1 cm of cortex" : "voxels, whose places are not known";
  return `${percent(found.share)} % of ${found.n.toLocaleString("en")} ${where}voxels ${what} (95 % interval ${percent(found.lo)}–${percent(found.hi)} %, over ${over}).`;
}
