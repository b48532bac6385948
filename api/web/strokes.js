// The tools that select by drawing: brush and lasso, one at a time.
// @ts-check
import { find } from "./dom.js";

/** @param {import("./flatmap.js").Flatmap} flatmap */
export function connectStrokes(flatmap) {
  const tools = [find("brush", HTMLButtonElement), find("lasso", HTMLButtonElement)];
  for (const tool of tools)
    tool.addEventListener("click", () => {
      const on = tool.getAttribute("aria-pressed") !== "true";
      for (const other of tools) other.setAttribute("aria-pressed", String(on && other === tool));
      flatmap.brush.loops = on && tool.id === "lasso";
      flatmap.setBrushing(on);
    });
}

/** @param {boolean} on whether there is a flat map to draw on */
export function allowStrokes(on) {
  for (const id of ["brush", "lasso"]) find(id, HTMLButtonElement).disabled = !on;
}

/**
 * What was drawn, in words.
 * @param {number[][]} shapes
 */
export function nameStrokes(shapes) {
  const loops = shapes.filter(({ length }) => length > 3).length;
  return [...(loops < shapes.length ? ["Brushed region"] : []), ...(loops ? ["Encircled region"] : [])];
}
