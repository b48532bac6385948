// The flat map: painted here from a pixel → voxel map that is fetched once and one value per voxel.
// @ts-check
import { draw, figure, find, make, say } from "./dom.js";
import { getJson, getPixelMap } from "./server.js";

const OUTSIDE = -2;
const SULCUS = 140;
const GYRUS = 196;
const DIMMED = 0.25;

/**
 * @typedef {object} Region
 * @property {string} name
 * @property {string} source
 * @property {string} description
 * @property {number[]} voxels
 * @property {number[][]} paths x, y, x, y … as fractions of width and height
 * @property {number[][]} names where its name goes, likewise
 *
 * @typedef {object} Shown
 * @property {Float32Array} values one per voxel number, NaN for none
 * @property {Uint8Array} colours 256 × RGB
 * @property {number} lo
 * @property {number} hi
 * @property {string} title
 * @property {string} unit
 */

export class Flatmap {
  /**
   * @param {(voxel: number) => void} open called when a voxel is chosen
   */
  constructor(open) {
    this.canvas = find("map", HTMLCanvasElement);
    this.stage = find("stage", HTMLElement);
    this.overlay = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (document.getElementById("overlay")));
    this.tip = find("tip", HTMLElement);
    this.open = open;
    /** @type {Int32Array} */
    this.voxelAt = new Int32Array(0);
    this.width = this.height = 0;
    /** @type {Region[]} */
    this.regions = [];
    /** @type {string[][]} regions of each voxel */
    this.regionsOf = [];
    /** @type {Shown | null} */
    this.shown = null;
    /** @type {Set<number> | null} voxels that are not dimmed */
    this.focus = null;
    /** @type {number | null} */
    this.chosen = null;
    this.cursor = { x: 0, y: 0 };
    this.#listen();
    new ResizeObserver(() => this.#scaleNames()).observe(this.stage);
  }

  /**
   * Fetches a subject's pixel map and regions.
   * @param {string} subject
   */
  async load(subject) {
    const path = subject.split("/").map(encodeURIComponent).join("/");
    const [pixels, outlines] = await Promise.all([
      getPixelMap(`/pixelmaps/${path}.bin`),
      getJson(`/outlines/${path}.json`),
    ]);
    this.width = this.canvas.width = pixels.width;
    this.height = this.canvas.height = pixels.height;
    this.voxelAt = pixels.voxelAt;
    this.regions = outlines.rois;
    this.regionsOf = [];
    for (const region of this.regions) for (const voxel of region.voxels) (this.regionsOf[voxel] ??= []).push(region.name);
    this.cursor = { x: this.width >> 1, y: this.height >> 1 };
    this.#shade(pixels.curvature);
    this.#outline();
    this.paint(null);
  }

  /**
   * Paints values; null paints the bare cortex.
   * @param {Shown | null} shown
   */
  paint(shown) {
    this.shown = shown;
    if (!this.width) return;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const image = context.createImageData(this.width, this.height);
    const pixels = new Uint32Array(image.data.buffer);
    pixels.set(/** @type {Uint32Array} */ (this.base));
    if (shown) {
      const colourOf = this.#colours(shown);
      const { voxelAt } = this;
      for (let place = 0; place < pixels.length; place++) {
        const voxel = voxelAt[place];
        if (voxel >= 0 && colourOf[voxel]) pixels[place] = colourOf[voxel];
      }
    }
    context.putImageData(image, 0, 0);
    this.#mark();
  }

  /**
   * Dims every voxel but these; null dims none.
   * @param {Iterable<number> | null} voxels
   */
  focusOn(voxels) {
    this.focus = voxels ? new Set(voxels) : null;
    this.paint(this.shown);
  }

  /**
   * Marks a voxel; null takes the mark away.
   * @param {number | null} voxel
   */
  choose(voxel) {
    this.chosen = voxel;
    this.#mark();
  }

  /**
   * The regions that a voxel lies in.
   * @param {number} voxel
   */
  names(voxel) {
    return this.regionsOf[voxel] ?? [];
  }

  /**
   * One packed colour per voxel, so that the loop over pixels only looks up; 0 where nothing is painted.
   * @param {Shown} shown
   */
  #colours({ values, colours, lo, hi }) {
    const packed = new Uint32Array(values.length);
    const scale = 256 / (hi - lo);
    for (let voxel = 0; voxel < values.length; voxel++) {
      const value = values[voxel];
      if (Number.isNaN(value)) continue;
      const at = Math.max(0, Math.min(255, Math.floor((value - lo) * scale))) * 3;
      let [red, green, blue] = [colours[at], colours[at + 1], colours[at + 2]];
      if (this.focus && !this.focus.has(voxel)) {
        const grey = (SULCUS + GYRUS) / 2;
        [red, green, blue] = [red, green, blue].map((part) => Math.round(grey + (part - grey) * DIMMED));
      }
      packed[voxel] = 0xff000000 | (blue << 16) | (green << 8) | red;
    }
    return packed;
  }

  /**
   * The bare cortex: curvature in grey, clear outside.
   * @param {Uint8Array} curvature
   */
  #shade(curvature) {
    this.base = new Uint32Array(curvature.length);
    for (let place = 0; place < curvature.length; place++) {
      if (this.voxelAt[place] === OUTSIDE) continue;
      const grey = Math.round(SULCUS + ((GYRUS - SULCUS) * curvature[place]) / 255);
      this.base[place] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
  }

  #outline() {
    const { width, height } = this;
    this.overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.stage.style.aspectRatio = `${width} / ${height}`;
    const lines = draw("g", { class: "outlines" });
    const names = draw("g", { class: "names" });
    for (const { path, kind } of this.regions.flatMap((region) => region.paths.map((path) => ({ path, kind: region.voxels.length ? "" : " empty" })))) {
      if (path.length < 6) continue;
      let d = "";
      for (let i = 0; i < path.length; i += 2) d += `${i ? "L" : "M"}${(path[i] * width).toFixed(1)} ${(path[i + 1] * height).toFixed(1)}`;
      lines.append(draw("path", { d: `${d}Z`, class: `halo${kind}` }), draw("path", { d: `${d}Z`, class: `line${kind}` }));
    }
    for (const { name, names: places, voxels } of this.regions)
      for (const [x, y] of places) names.append(draw("text", { x: x * width, y: y * height, class: voxels.length ? "" : "empty" }, name));
    this.overlay.replaceChildren(lines, names, draw("g", { class: "marks" }));
    this.#scaleNames();
  }

  /** Names keep their size on the screen, whatever the size of the map. */
  #scaleNames() {
    const shown = this.stage.clientWidth;
    if (!shown || !this.width) return;
    const size = Math.max(8, Math.min(15, shown / 75));
    this.overlay.style.setProperty("--name-size", `${(size * this.width) / shown}px`);
    this.overlay.style.setProperty("--mark-size", String((5 * this.width) / shown));
    this.#mark();
  }

  /** Rings around every patch of the chosen voxel. */
  #mark() {
    const marks = this.overlay.querySelector(".marks");
    if (!marks) return;
    marks.replaceChildren();
    if (this.chosen === null) return;
    const radius = 9 * (this.width / Math.max(1, this.stage.clientWidth));
    for (const { x, y } of this.#patches(this.chosen)) {
      marks.append(draw("circle", { cx: x, cy: y, r: radius, class: "halo" }), draw("circle", { cx: x, cy: y, r: radius }));
    }
  }

  /**
   * Middles of the connected patches that show a voxel: a fold can show one twice.
   * @param {number} voxel
   * @returns {{x: number, y: number}[]}
   */
  #patches(voxel) {
    /** @type {Set<number>} */
    const left = new Set();
    for (let place = this.voxelAt.indexOf(voxel); place >= 0; place = this.voxelAt.indexOf(voxel, place + 1)) left.add(place);
    const found = [];
    for (const first of left) {
      let [x, y, n] = [0, 0, 0];
      const open = [first];
      left.delete(first);
      for (let place = open.pop(); place !== undefined; place = open.pop()) {
        x += place % this.width;
        y += Math.floor(place / this.width);
        n++;
        for (const step of [-1, 1, -this.width, this.width, -this.width - 1, -this.width + 1, this.width - 1, this.width + 1])
          if (left.delete(place + step)) open.push(place + step);
      }
      found.push({ x: x / n + 0.5, y: y / n + 0.5 });
    }
    return found;
  }

  #listen() {
    const place = (/** @type {PointerEvent | MouseEvent} */ event) => {
      const box = this.canvas.getBoundingClientRect();
      return {
        x: Math.floor(((event.clientX - box.left) / box.width) * this.width),
        y: Math.floor(((event.clientY - box.top) / box.height) * this.height),
      };
    };
    this.canvas.addEventListener("pointermove", (event) => this.#point(place(event)));
    this.canvas.addEventListener("pointerleave", () => this.#hideTip());
    this.canvas.addEventListener("blur", () => this.#hideTip());
    this.canvas.addEventListener("click", (event) => {
      const voxel = this.#voxel(place(event));
      if (voxel >= 0) this.open(voxel);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 32 : 6;
      const moves = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] });
      const move = moves[event.key];
      if (move) {
        event.preventDefault();
        this.cursor = {
          x: Math.max(0, Math.min(this.width - 1, this.cursor.x + move[0])),
          y: Math.max(0, Math.min(this.height - 1, this.cursor.y + move[1])),
        };
        this.#point(this.cursor);
        say(this.tip.hidden ? "no voxel here" : this.tip.textContent ?? "");
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        const voxel = this.#voxel(this.cursor);
        if (voxel >= 0) this.open(voxel);
      } else if (event.key === "Escape") this.#hideTip();
    });
  }

  /** @param {{x: number, y: number}} place */
  #voxel({ x, y }) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return OUTSIDE;
    return this.voxelAt[y * this.width + x];
  }

  #hideTip() {
    this.tip.hidden = true;
  }

  /** @param {{x: number, y: number}} place */
  #point(place) {
    this.cursor = place;
    const voxel = this.#voxel(place);
    this.canvas.style.cursor = voxel >= 0 ? "pointer" : "default";
    if (voxel < 0) {
      this.#hideTip();
      return;
    }
    const value = this.shown ? this.shown.values[voxel] : Number.NaN;
    const parts = [make("strong", {}, `voxel ${voxel}`)];
    const names = this.names(voxel);
    if (names.length) parts.push(make("span", {}, ` ${names.join(", ")} `));
    if (this.shown) parts.push(make("span", { class: "value" }, ` ${figure(value, 3)}`));
    this.tip.replaceChildren(...parts);
    this.tip.hidden = false;
    const [left, top] = [place.x / this.width, place.y / this.height];
    this.tip.style.left = `${left * 100}%`;
    this.tip.style.top = `${top * 100}%`;
    this.tip.dataset.side = `${top < 0.15 ? "below" : "above"} ${left < 0.2 ? "right" : left > 0.8 ? "left" : "middle"}`;
  }
}
