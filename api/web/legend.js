// What the colours mean: a colour bar with its range, or labels in their colours.
// @ts-check
import { figure, find, make, square } from "./dom.js";

/**
 * @param {import("./shown.js").Shown} shown
 * @param {(text: string) => void} look searches a label
 */
export function showLegend(shown, look) {
  find("legend", HTMLElement).hidden = false;
  find("quantity", HTMLElement).textContent = [shown.unit, shown.leftOut, shown.heldTo].filter(Boolean).join("; ") + ` · ${shown.model}`;
  find("scale", HTMLElement).hidden = !shown.scale;
  const names = shown.names.map(({ text, colour }) =>
    make("li", {}, make("button", { type: "button", class: "chip", title: `Search ${text}`, click: () => look(text) }, square(colour), text)),
  );
  find("names", HTMLElement).replaceChildren(...names);
  if (shown.scale) scale(shown.scale, shown.unit);
}

/**
 * The same colours and range as in the map.
 * @param {import("./shown.js").Scale} scale
 * @param {string} unit
 */
function scale(scale, unit) {
  const ramp = find("ramp", HTMLCanvasElement);
  paintRamp(ramp, scale.table);
  const written = ticks(scale);
  for (const [id, text] of Object.entries(written)) find(id, HTMLElement).textContent = text;
  ramp.setAttribute("aria-label", `Colour bar: ${unit} from ${written.lo} to ${written.hi}`);
  ramp.title = scale.fixed ? "The colours mean the same for every concept of this model: they reach as far as 99 % of what ordinary nouns give." : "";
}

/**
 * The ends and the middle of a colour bar, as they are written.
 * @param {import("./shown.js").Scale} scale
 */
export function ticks({ lo, hi, logarithmic }) {
  const write = (/** @type {number} */ value) => (logarithmic && value < 0.01 ? value.toExponential(0).replace("-", "−") : figure(value, hi - lo < 0.1 ? 3 : 2));
  return { lo: write(lo), middle: write(logarithmic ? Math.sqrt(lo * hi) : (lo + hi) / 2), hi: write(hi) };
}

/**
 * @param {HTMLCanvasElement} canvas 256 pixels wide
 * @param {Uint8Array} table 256 × RGB
 */
export function paintRamp(canvas, table) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(256, 1);
  for (let step = 0; step < 256; step++) image.data.set([table[step * 3], table[step * 3 + 1], table[step * 3 + 2], 255], step * 4);
  context.putImageData(image, 0, 0);
}
