// The flat map: painted here from a pixel → voxel map that is fetched once and one colour per voxel.
// @ts-check
import { Brush } from "./brush.js";
import { draw, find, say } from "./dom.js";
import { focused, grey, mixed } from "./paint.js";

const OUTSIDE = -2;

/**
 * @typedef {object} Listeners
 * @property {(voxel: number) => void} open a voxel was chosen
 * @property {(ended: boolean) => void} brushed the brush touched voxels; `ended` when the stroke is over
 */

export class Flatmap {
  /**
   * @param {import("./tip.js").Tip} tip
   * @param {Listeners} listeners
   */
  constructor(tip, listeners) {
    this.canvas = find("map", HTMLCanvasElement);
    this.stage = find("stage", HTMLElement);
    this.overlay = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (document.getElementById("overlay")));
    this.tip = tip;
    this.listeners = listeners;
    this.brush = new Brush();
    this.brushing = false;
    /** @type {import("./subject.js").Subject | null} */
    this.subject = null;
    /** @type {import("./subject.js").FlatPixels} */
    this.pixels = { width: 0, height: 0, voxelAt: new Int32Array(0), curvature: new Uint8Array(0) };
    this.base = new Uint32Array(0);
    /** @type {number | null} */
    this.chosen = null;
    this.cursor = { x: 0, y: 0 };
    this.#listen();
    new ResizeObserver(() => this.#scaleNames()).observe(this.stage);
  }

  /** @param {import("./subject.js").Subject} subject one that has a flat map */
  load(subject) {
    if (!subject.pixels) return;
    this.subject = subject;
    this.pixels = subject.pixels;
    const { width, height, voxelAt, curvature } = this.pixels;
    this.canvas.width = width;
    this.canvas.height = height;
    this.base = Uint32Array.from(curvature, (one, place) => (voxelAt[place] === OUTSIDE ? 0 : grey(one)));
    this.cursor = { x: width >> 1, y: height >> 1 };
    this.#outline();
  }

  /**
   * @param {import("./shown.js").Shown} shown
   * @param {Set<number> | null} focus voxels that are not dimmed; null for all
   */
  paint(shown, focus) {
    const { width, height, voxelAt } = this.pixels;
    if (!width) return;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    pixels.set(this.base);
    const colours = focused(shown, focus);
    const { opacity } = shown;
    for (let place = 0; place < pixels.length; place++) {
      const voxel = voxelAt[place];
      if (voxel < 0 || !colours[voxel]) continue;
      pixels[place] = opacity ? mixed(colours[voxel], pixels[place], opacity[voxel]) : colours[voxel];
    }
    context.putImageData(image, 0, 0);
  }

  /**
   * Marks a voxel; null takes the mark away.
   * @param {number | null} voxel
   */
  choose(voxel) {
    this.chosen = voxel;
    this.#mark();
  }

  /** @param {boolean} on whether dragging brushes */
  setBrushing(on) {
    this.brushing = on;
    this.stage.classList.toggle("brushing", on);
  }

  #outline() {
    const { width, height } = this.pixels;
    const regions = this.subject?.regions ?? [];
    this.overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.stage.style.setProperty("--aspect", `${width} / ${height}`);
    const lines = draw("g", { class: "outlines" });
    const names = draw("g", { class: "names" });
    for (const { paths, voxels } of regions)
      for (const path of paths) {
        if (path.length < 6) continue;
        const kind = voxels.length ? "" : " empty";
        let d = "";
        for (let i = 0; i < path.length; i += 2) d += `${i ? "L" : "M"}${(path[i] * width).toFixed(1)} ${(path[i + 1] * height).toFixed(1)}`;
        lines.append(draw("path", { d: `${d}Z`, class: `halo${kind}` }), draw("path", { d: `${d}Z`, class: `line${kind}` }));
      }
    // Regions that hold voxels are named first: where names would cover each other, the first one stays.
    for (const { name, names: places, voxels } of [...regions].sort((a, b) => Number(!a.voxels.length) - Number(!b.voxels.length)))
      for (const [x, y] of places) names.append(draw("text", { x: x * width, y: y * height, class: voxels.length ? "" : "empty" }, name));
    this.overlay.replaceChildren(lines, names, draw("g", { class: "marks" }));
    this.#scaleNames();
  }

  /** Names keep their size on the screen, whatever the size of the map. */
  #scaleNames() {
    const shown = this.stage.clientWidth;
    if (!shown || !this.pixels.width) return;
    const size = Math.max(8, Math.min(15, shown / 75));
    this.overlay.style.setProperty("--name-size", `${(size * this.pixels.width) / shown}px`);
    /** @type {DOMRect[]} */
    const placed = [];
    for (const name of this.overlay.querySelectorAll("text")) {
      const box = name.getBBox();
      const covered = placed.some((other) => box.x < other.x + other.width && other.x < box.x + box.width && box.y < other.y + other.height && other.y < box.y + box.height);
      name.classList.toggle("covered", covered);
      if (!covered && box.width) placed.push(box);
    }
    this.#mark();
  }

  /** Rings around every patch of the chosen voxel. */
  #mark() {
    const marks = this.overlay.querySelector(".marks");
    if (!marks) return;
    marks.replaceChildren();
    if (this.chosen === null) return;
    const radius = 9 * (this.pixels.width / Math.max(1, this.stage.clientWidth));
    for (const { x, y } of patches(this.pixels, this.chosen))
      marks.append(draw("circle", { cx: x, cy: y, r: radius, class: "halo" }), draw("circle", { cx: x, cy: y, r: radius }));
  }

  #listen() {
    const { canvas } = this;
    const place = (/** @type {PointerEvent | MouseEvent} */ event) => {
      const box = canvas.getBoundingClientRect();
      return {
        x: Math.floor(((event.clientX - box.left) / box.width) * this.pixels.width),
        y: Math.floor(((event.clientY - box.top) / box.height) * this.pixels.height),
      };
    };
    let stroke = false;
    const end = () => {
      if (!stroke) return;
      stroke = false;
      this.listeners.brushed(true);
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (!(this.brushing || event.shiftKey) || event.button !== 0) return;
      stroke = true;
      canvas.setPointerCapture(event.pointerId);
      this.#touch(place(event), true);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (stroke) this.#touch(place(event), false);
      this.#point(place(event));
    });
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => this.#leave());
    canvas.addEventListener("blur", () => this.#leave());
    canvas.addEventListener("click", (event) => {
      if (this.brushing || event.shiftKey) return;
      const voxel = this.#voxel(place(event));
      if (voxel >= 0) this.listeners.open(voxel);
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = event.shiftKey ? 32 : 6;
    const moves = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] });
    const move = moves[event.key];
    if (move) {
      this.cursor = {
        x: Math.max(0, Math.min(this.pixels.width - 1, this.cursor.x + move[0])),
        y: Math.max(0, Math.min(this.pixels.height - 1, this.cursor.y + move[1])),
      };
      this.#point(this.cursor);
      say(this.tip.text || "no voxel here");
    } else if (event.key === " " && this.brushing) {
      this.#touch(this.cursor, true);
      this.listeners.brushed(true);
    } else if (event.key === "Enter" || event.key === " ") {
      const voxel = this.#voxel(this.cursor);
      if (voxel >= 0) this.listeners.open(voxel);
    } else if (event.key === "Escape") {
      this.#leave();
      return;
    } else return;
    event.preventDefault();
  }

  /**
   * @param {{x: number, y: number}} place
   * @param {boolean} first
   */
  #touch(place, first) {
    if (this.brush.touch(this.pixels, place, first)) this.listeners.brushed(false);
  }

  /** @param {{x: number, y: number}} place */
  #voxel({ x, y }) {
    const { width, height, voxelAt } = this.pixels;
    return x < 0 || y < 0 || x >= width || y >= height ? OUTSIDE : voxelAt[y * width + x];
  }

  #leave() {
    this.tip.hide();
  }

  /** @param {{x: number, y: number}} place */
  #point(place) {
    this.cursor = place;
    const voxel = this.#voxel(place);
    this.canvas.style.cursor = this.brushing ? "crosshair" : voxel >= 0 ? "pointer" : "default";
    if (voxel < 0) this.tip.hide();
    else this.tip.show(voxel, place.x / this.pixels.width, place.y / this.pixels.height);
  }
}

/**
 * Middles of the connected patches that show a voxel: a fold can show one twice.
 * @param {import("./subject.js").FlatPixels} pixels
 * @param {number} voxel
 * @returns {{x: number, y: number}[]}
 */
function patches({ width, voxelAt }, voxel) {
  /** @type {Set<number>} */
  const left = new Set();
  for (let place = voxelAt.indexOf(voxel); place >= 0; place = voxelAt.indexOf(voxel, place + 1)) left.add(place);
  const found = [];
  for (const first of left) {
    let [x, y, n] = [0, 0, 0];
    const open = [first];
    left.delete(first);
    for (let place = open.pop(); place !== undefined; place = open.pop()) {
      x += place % width;
      y += Math.floor(place / width);
      n++;
      for (const step of [-1, 1, -width, width, -width - 1, -width + 1, width - 1, width + 1]) if (left.delete(place + step)) open.push(place + step);
    }
    found.push({ x: x / n + 0.5, y: y / n + 0.5 });
  }
  return found;
}
