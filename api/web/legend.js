// What the colours mean: a colour bar with its range, or labels in their colours.
// @ts-check
import { figure, find, make } from "./dom.js";

/**
 * @param {import("./shown.js").Shown} shown
 * @param {(text: string) => void} look searches a label
 */
export function showLegend(shown, look) {
  find("legend", HTMLElement).hidden = false;
  find("quantity", HTMLElement).textContent = [shown.unit, shown.leftOut, shown.heldTo].filter(Boolean).join("; ") + ` · ${shown.model}`;
  find("scale", HTMLElement).hidden = !shown.scale;
  const names = shown.names.map(({ text, colour }) => {
    const square = make("span", { class: "square", "aria-hidden": "true" });
    square.style.background = colour;
    return make("li", {}, make("button", { type: "button", class: "chip", title: `Search ${text}`, click: () => look(text) }, square, text));
  });
  find("names", HTMLElement).replaceChildren(...names);
  if (shown.scale) scale(shown.scale, shown.unit);
}

/**
 * The same colours and range as in the map.
 * @param {import("./shown.js").Scale} scale
 * @param {string} unit
 */
function scale({ table, lo, hi }, unit) {
  const ramp = find("ramp", HTMLCanvasElement);
  const context = /** @type {CanvasRenderingContext2D} */ (ramp.getContext("2d"));
  const image = context.createImageData(256, 1);
  for (let step = 0; step < 256; step++) image.data.set([table[step * 3], table[step * 3 + 1], table[step * 3 + 2], 255], step * 4);
  context.putImageData(image, 0, 0);
  const decimals = hi - lo < 0.1 ? 3 : 2;
  const ticks = { lo, middle: (lo + hi) / 2, hi };
  for (const [id, value] of Object.entries(ticks)) find(id, HTMLElement).textContent = figure(value, decimals);
  ramp.setAttribute("aria-label", `Colour bar: ${unit} from ${figure(lo, decimals)} to ${figure(hi, decimals)}`);
}
