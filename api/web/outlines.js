// Over a flat map: the outlines of its regions, their names, and rings around the chosen voxel.
// @ts-check
import { draw } from "./dom.js";
import { placeNames } from "./names.js";

const [SMALLEST, LARGEST] = [9, 15];
// Regions without a voxel are not named where there is so little room.
export const LEAST_WIDTH = 600;
const RING_PX = 9;

export class Outlines {
  /**
   * @param {SVGSVGElement} svg
   * @param {import("./viewport.js").Viewport} viewport
   */
  constructor(svg, viewport) {
    this.svg = svg;
    this.viewport = viewport;
    this.width = 1;
    this.height = 1;
    this.radius = 1;
    this.arranged = viewport.part;
    /** @type {{x: number, y: number, empty: boolean, text: Element, em: number}[]} */
    this.anchors = [];
    this.lines = draw("g", { class: "outlines" });
    this.leaders = draw("path", { class: "leader" });
    this.leaderHalo = draw("path", { class: "leader halo" });
    this.names = draw("g", { class: "names" });
    this.marks = draw("g", { class: "marks" });
    this.pointer = draw("circle", { class: "pointer", visibility: "hidden" });
    this.loop = draw("path", { class: "loop" });
    svg.replaceChildren(this.lines, this.leaderHalo, this.leaders, this.names, this.marks, this.pointer, this.loop);
  }

  /** @param {import("./subject.js").Subject} subject one that has a flat map */
  load({ pixels, regions }) {
    if (!pixels) return;
    const { width, height } = pixels;
    this.width = width;
    this.height = height;
    this.lines.replaceChildren();
    for (const { paths, voxels } of regions)
      for (const path of paths) {
        if (path.length < 6) continue;
        const kind = voxels.length ? "" : " empty";
        let d = "";
        for (let i = 0; i < path.length; i += 2) d += `${i ? "L" : "M"}${(path[i] * width).toFixed(1)} ${(path[i + 1] * height).toFixed(1)}`;
        this.lines.append(draw("path", { d: `${d}Z`, class: `halo${kind}` }), draw("path", { d: `${d}Z`, class: `line${kind}` }));
      }
    const places = regions.flatMap(({ name, names, voxels }) => names.map(([x, y, rank]) => ({ name, x: x * width, y: y * height, rank, empty: !voxels.length })));
    // Regions that hold voxels choose their room first.
    places.sort((a, b) => Number(a.empty) - Number(b.empty) || a.rank - b.rank);
    const ems = widths(places.map(({ name }) => name));
    this.anchors = places.map(({ name, x, y, empty }, at) => ({ x, y, empty, em: ems[at], text: draw("text", { class: empty ? "empty" : "" }, name) }));
    this.names.replaceChildren(...this.anchors.map(({ text }) => text));
    this.arrange();
  }

  clear() {
    this.anchors = [];
    for (const group of [this.lines, this.names, this.marks]) group.replaceChildren();
    this.arrange();
  }

  /** Moves what is drawn to where the part that is seen now has it, until it is arranged anew. */
  follow() {
    const { k, x, y } = this.viewport.part;
    const { k: before, x: left, y: top } = this.arranged;
    this.svg.style.transform = `translate(${100 * (left - x) * k}%, ${100 * (top - y) * k}%) scale(${k / before})`;
  }

  /** Shows the part that is seen; names keep their size on the screen. */
  arrange() {
    const shown = this.svg.clientWidth;
    const { k, x, y } = this.arranged = this.viewport.part;
    const { width, height } = this;
    this.svg.style.transform = "";
    this.svg.setAttribute("viewBox", `${x * width} ${y * height} ${width / k} ${height / k}`);
    if (!shown) return;
    /** How many units of the map a pixel of the screen is. */
    const unit = width / k / shown;
    const size = letterSize(shown);
    this.svg.style.setProperty("--name-size", `${size * unit}px`);
    const [left, top] = [x * width, y * height];
    const named = this.anchors.filter(({ empty }) => !empty || shown >= LEAST_WIDTH);
    const places = named.map((one) => [(one.x - left) / unit, (one.y - top) / unit]);
    const placed = placeNames(places, named.map(({ em }) => em * size), size, [shown, (shown * height) / width]);
    for (const { text } of this.anchors) text.setAttribute("visibility", "hidden");
    let d = "";
    for (const name of placed) {
      const { text, x: fromX, y: fromY } = named[name.at];
      text.removeAttribute("visibility");
      text.setAttribute("x", String(left + name.x * unit));
      text.setAttribute("y", String(top + name.y * unit));
      if (name.leader) d += `M${fromX} ${fromY}L${left + name.leader[0] * unit} ${top + name.leader[1] * unit}`;
    }
    for (const leader of [this.leaders, this.leaderHalo]) leader.setAttribute("d", d);
    this.radius = RING_PX * unit;
    for (const ring of [...this.marks.children, this.pointer]) ring.setAttribute("r", String(this.radius));
  }

  /** @param {{x: number, y: number} | null} place that is pointed at in a map beside this one, or here */
  point(place) {
    this.pointer.setAttribute("visibility", place ? "visible" : "hidden");
    if (!place) return;
    this.pointer.setAttribute("cx", String(place.x));
    this.pointer.setAttribute("cy", String(place.y));
  }

  /**
   * Shows the loop that is being drawn.
   * @param {number[]} loop x, y, x, y …
   * @param {number} unit pixels of the map
   */
  trace(loop, unit) {
    this.loop.setAttribute("d", loop.length < 4 ? "" : `M${loop.map((part) => (part * unit).toFixed(1)).join(" ")}`);
  }

  /** @param {{x: number, y: number}[]} places middles of patches that are ringed */
  mark(places) {
    this.marks.replaceChildren(...places.flatMap(({ x, y }) => ["halo", ""].map((kind) => draw("circle", { cx: x, cy: y, r: this.radius, class: kind }))));
  }
}

/** @param {number} width of the picture on the screen */
export function letterSize(width) {
  return Math.max(SMALLEST, Math.min(LARGEST, width / 75));
}

/**
 * Widths of names, in sizes of their letters.
 * @param {string[]} names
 * @param {string} [family] their font; the page's without one
 */
export function widths(names, family = getComputedStyle(document.body).fontFamily) {
  const pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  pen.font = `600 100px ${family}`;
  return names.map((name) => pen.measureText(name).width / 100);
}
