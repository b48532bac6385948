// The flat map: painted here from a pixel → voxel map that is fetched once and one colour per voxel.
// @ts-check
import { say } from "./dom.js";
import { listen } from "./gestures.js";
import { Outlines } from "./outlines.js";
import { flatColours } from "./paint.js";
import { OUTSIDE } from "./subject.js";

const KEY_ZOOM = 1.4;
const RESTING_MS = 120;

/**
 * @typedef {object} Listeners
 * @property {(voxel: number) => void} open a voxel was chosen
 * @property {(ended: boolean) => void} brushed the brush touched voxels; `ended` when the stroke is over
 * @property {(place: Place | null) => void} pointed
 *
 * @typedef {{x: number, y: number}} Place in pixels of the map, whole or not
 */

export class Flatmap {
  /**
   * @param {HTMLElement} stage with a canvas and an SVG over it
   * @param {import("./viewport.js").Viewport} viewport
   * @param {import("./brush.js").Brush} brush which maps of one subject share
   * @param {import("./tip.js").Tip} tip
   * @param {Listeners} listeners
   */
  constructor(stage, viewport, brush, tip, listeners) {
    this.stage = stage;
    this.canvas = /** @type {HTMLCanvasElement} */ (stage.querySelector("canvas"));
    this.viewport = viewport;
    this.tip = tip;
    this.listeners = listeners;
    this.outlines = new Outlines(/** @type {SVGSVGElement} */ (stage.querySelector("svg")), viewport);
    this.brush = brush;
    this.brushing = false;
    /** @type {import("./subject.js").FlatPixels} */
    this.pixels = { width: 0, height: 0, voxelAt: new Int32Array(0), curvature: new Uint8Array(0) };
    this.base = new Uint32Array(0);
    this.cursor = { x: 0, y: 0 };
    /** @type {number | undefined} */
    this.waiting = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.resting = undefined;
    this.#listen();
    this.unfollow = viewport.follow(() => this.#wish());
    this.sizes = new ResizeObserver(() => this.outlines.arrange());
    this.sizes.observe(this.stage);
  }

  /** @param {import("./subject.js").Subject} subject one that has a flat map */
  load(subject) {
    if (!subject.pixels) return;
    this.pixels = subject.pixels;
    const { width, height } = this.pixels;
    this.canvas.width = width;
    this.canvas.height = height;
    this.base = subject.base;
    this.cursor = { x: width >> 1, y: height >> 1 };
    this.stage.style.setProperty("--aspect", `${width} / ${height}`);
    this.outlines.load(subject);
    this.#frame();
  }

  /** Shows nothing, until another subject is loaded. */
  clear() {
    this.pixels = { width: 0, height: 0, voxelAt: new Int32Array(0), curvature: new Uint8Array(0) };
    this.canvas.getContext("2d")?.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.outlines.clear();
    this.tip.hide();
  }

  /** Follows neither the viewport nor the size of the stage any more, which is taken off the page. */
  leave() {
    this.unfollow();
    this.sizes.disconnect();
  }

  /**
   * @param {import("./shown.js").Shown} shown
   * @param {Set<number> | null} focus voxels that are not dimmed; null for all
   */
  paint(shown, focus) {
    const { width, height } = this.pixels;
    if (!width) return;
    const pixels = flatColours(this.pixels, this.base, shown, focus);
    this.canvas.getContext("2d")?.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
  }

  /**
   * Rings every patch of a voxel; null takes the rings away.
   * @param {number | null} voxel
   */
  choose(voxel) {
    this.outlines.mark(voxel === null || !this.pixels.width ? [] : patches(this.pixels, voxel));
  }

  /**
   * Where a voxel is shown; null for nowhere.
   * @param {number} voxel
   * @returns {Place | null}
   */
  placeOf(voxel) {
    const { width, voxelAt } = this.pixels;
    const at = voxelAt.indexOf(voxel);
    return at < 0 ? null : { x: (at % width) + 0.5, y: Math.floor(at / width) + 0.5 };
  }

  /** @param {boolean} on whether dragging brushes */
  setBrushing(on) {
    this.brushing = on;
    this.stage.classList.toggle("brushing", on);
  }

  /** Shows the part that is seen once before the next frame, however often it changes. */
  #wish() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.#move();
    });
  }

  /** What moves is moved as it is; it is drawn anew when it rests. */
  #move() {
    this.outlines.follow();
    this.#frame();
    this.stage.classList.add("moving");
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.stage.classList.remove("moving");
      this.outlines.arrange();
    }, RESTING_MS);
  }

  /** Puts the part of the canvas in view that is seen. */
  #frame() {
    const { k, x, y } = this.viewport.part;
    this.canvas.style.transform = k === 1 ? "" : `scale(${k}) translate(${-100 * x}%, ${-100 * y}%)`;
    this.canvas.style.imageRendering = k > 2 ? "pixelated" : "";
    this.stage.classList.toggle("zoomed", !this.viewport.isHome && k > 1);
  }

  #listen() {
    const { canvas, viewport } = this;
    const place = (/** @type {import("./gestures.js").Share} */ share) => {
      const { k, x, y } = viewport.part;
      return { x: (x + share.x / k) * this.pixels.width, y: (y + share.y / k) * this.pixels.height };
    };
    listen(/** @type {HTMLElement} */ (canvas.parentElement), {
      look: (share) => this.#point(place(share)),
      leave: () => {
        this.tip.hide();
        this.listeners.pointed(null);
      },
      tap: (share) => this.#open(place(share)),
      brushes: (event) => this.brushing || event.shiftKey,
      brush: (share, first) => this.#touch(place(share), first),
      brushed: () => this.#finish(),
      pan: (dx, dy) => viewport.pan(dx, dy),
      zoom: (factor, share) => {
        const { x, y } = place(share);
        this.tip.hide();
        return viewport.zoom(factor, x / this.pixels.width, y / this.pixels.height);
      },
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { width, height } = this.pixels;
    const step = Math.max(1, (event.shiftKey ? 32 : 6) / this.viewport.part.k);
    const moves = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] });
    const zooms = /** @type {Record<string, number>} */ ({ "+": KEY_ZOOM, "=": KEY_ZOOM, "-": 1 / KEY_ZOOM });
    const move = moves[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (move) {
      const [x, y] = [Math.max(0, Math.min(width - 1, this.cursor.x + move[0])), Math.max(0, Math.min(height - 1, this.cursor.y + move[1]))];
      this.viewport.reveal(x / width, y / height);
      this.#point({ x, y });
      say(this.tip.text || "no voxel here");
    } else if (zooms[event.key]) {
      this.viewport.zoom(zooms[event.key], this.cursor.x / width, this.cursor.y / height);
      this.tip.hide();
      say(`enlarged ${Math.round(100 * this.viewport.part.k)} percent`);
    } else if (event.key === "0") {
      this.viewport.reset();
      this.tip.hide();
    } else if (event.key === " " && this.brushing) {
      this.#touch(this.cursor, !this.brush.open);
      if (this.brush.loops) say(`corner ${(this.brush.open?.length ?? 0) / 2}; Enter closes the loop`);
      else this.#finish();
    } else if (event.key === "Enter" && this.brush.open) this.#finish();
    else if (event.key === "Enter" || event.key === " ") this.#open(this.cursor);
    else if (event.key === "Escape") {
      this.tip.hide();
      return;
    } else return;
    event.preventDefault();
  }

  /**
   * @param {Place} place
   * @param {boolean} first
   */
  #touch(place, first) {
    if (!this.brush.touch(this.pixels, place, first)) return;
    this.outlines.trace(this.brush.open ?? [], this.pixels.width / 1000);
    this.listeners.brushed(false);
  }

  /** A stroke is over. */
  #finish() {
    this.brush.close(this.pixels);
    this.outlines.trace([], 1);
    this.listeners.brushed(true);
  }

  /** @param {Place} place */
  #open(place) {
    const voxel = this.#voxel(place);
    if (voxel >= 0) this.listeners.open(voxel);
  }

  /** @param {Place} place */
  #voxel({ x, y }) {
    const { width, height, voxelAt } = this.pixels;
    return x < 0 || y < 0 || x >= width || y >= height ? OUTSIDE : voxelAt[Math.floor(y) * width + Math.floor(x)];
  }

  /** @param {Place} place */
  #point(place) {
    this.cursor = place;
    const voxel = this.#voxel(place);
    const { k, x, y } = this.viewport.part;
    this.canvas.style.cursor = this.brushing ? "crosshair" : voxel >= 0 ? "pointer" : k > 1 ? "grab" : "default";
    this.listeners.pointed(place);
    if (voxel < 0) this.tip.hide();
    else this.tip.show(voxel, (place.x / this.pixels.width - x) * k, (place.y / this.pixels.height - y) * k);
  }
}

/**
 * Middles of the connected patches that show a voxel: a fold can show one twice.
 * @param {import("./subject.js").FlatPixels} pixels
 * @param {number} voxel
 * @returns {Place[]}
 */
export function patches({ width, voxelAt }, voxel) {
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
