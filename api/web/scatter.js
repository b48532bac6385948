// One value against the other, a dot for each voxel in the colour of its region. A lasso around dots selects their voxels.
// @ts-check
import { figure, make, square } from "./dom.js";

// Okabe and Ito's colours, which can be told apart with any common colour deficiency.
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#0072b2", "#f0e442", "#8b6b3d"];
const GREY = "#8a8f96";
const [LEFT, TOP, RIGHT, BOTTOM] = [44, 10, 10, 34];
const NEAR_PX = 8;
// Pixels of a picture for each of the screen's.
const FINE = 3;

/**
 * @typedef {object} Dots
 * @property {Float32Array} a one per voxel
 * @property {Float32Array} b
 * @property {(voxel: number) => string[]} regions
 * @property {string[]} names what A and B are
 * @property {string} unit
 */

export class Scatter {
  /**
   * @param {{lassoed: (polygon: number[][]) => void, open: (voxel: number) => void, point: (voxel: number | null) => void}} listeners the lasso is in values of A and B
   */
  constructor(listeners) {
    this.listeners = listeners;
    this.canvas = make("canvas", { class: "dots", role: "img" });
    this.key = make("ul", { class: "names" });
    this.note = make("p", { class: "note" });
    this.place = make("figure", { class: "panel scatter" }, make("figcaption", {}, make("h3", {}, "One against the other")), this.canvas, this.key, this.note);
    /** @type {Dots | null} */
    this.dots = null;
    /** @type {Set<number> | null} */
    this.focus = null;
    /** @type {number[][]} */
    this.lasso = [];
    /** @type {{text: string, colour: string}[]} */
    this.named = [];
    this.range = [0, 1];
    this.size = [1, 1];
    this.#listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /**
   * @param {Dots} dots
   * @param {Set<number> | null} focus
   * @param {number[][]} lasso
   * @param {string} said
   */
  show(dots, focus, lasso, said) {
    this.dots = dots;
    this.focus = focus;
    this.lasso = lasso;
    let [low, high] = [Infinity, -Infinity];
    for (const values of [dots.a, dots.b])
      for (const value of values)
        if (Number.isFinite(value)) {
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
    this.range = low < high ? [low - 0.04 * (high - low), high + 0.04 * (high - low)] : [-1, 1];
    this.note.textContent = said;
    this.canvas.setAttribute("aria-label", `Scatter of ${dots.names.join(" against ")}. ${said}`);
    this.draw();
  }

  /** @returns {{canvas: HTMLCanvasElement, key: {text: string, colour: string}[]}} what is seen, in dark ink for white paper */
  picture() {
    this.draw("#262626", FINE);
    const copy = document.createElement("canvas");
    copy.width = this.canvas.width;
    copy.height = this.canvas.height;
    copy.getContext("2d")?.drawImage(this.canvas, 0, 0);
    this.draw();
    return { canvas: copy, key: this.named };
  }

  /**
   * @param {string} ink of axes and letters
   * @param {number} ratio pixels for each of the screen's
   */
  draw(ink = getComputedStyle(this.canvas).color, ratio = Math.min(devicePixelRatio, 2)) {
    const { canvas, dots } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!dots || !width) return;
    this.size = [width - LEFT - RIGHT, height - TOP - BOTTOM];
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.scale(ratio, ratio);
    pen.font = `11px ${getComputedStyle(canvas).fontFamily}`;
    this.#axes(pen, width, height, ink);
    const counts = new Map();
    dots.a.forEach((_, voxel) => { if (this.#has(voxel)) for (const name of dots.regions(voxel).slice(0, 1)) counts.set(name, (counts.get(name) ?? 0) + 1); });
    const named = [...counts].sort((one, other) => other[1] - one[1]).slice(0, COLOURS.length).map(([name]) => name);
    const colourOf = new Map(named.map((name, at) => [name, COLOURS[at]]));
    for (const faint of [true, false])
      dots.a.forEach((_, voxel) => {
        if (!this.#has(voxel) || (this.focus !== null && !this.focus.has(voxel)) !== faint) return;
        const [x, y] = this.#place(dots.a[voxel], dots.b[voxel]);
        pen.globalAlpha = faint ? 0.12 : 0.75;
        pen.fillStyle = colourOf.get(dots.regions(voxel)[0]) ?? GREY;
        pen.fillRect(x - 1.25, y - 1.25, 2.5, 2.5);
      });
    pen.globalAlpha = 1;
    if (this.lasso.length > 1) {
      pen.strokeStyle = ink;
      pen.setLineDash([4, 3]);
      pen.beginPath();
      for (const [a, b] of this.lasso) pen.lineTo(...this.#place(a, b));
      pen.closePath();
      pen.stroke();
    }
    this.named = [...colourOf].map(([text, colour]) => ({ text, colour }));
    this.named.push({ text: named.length < counts.size ? "others" : "no region", colour: GREY });
    this.key.replaceChildren(...this.named.map(({ text, colour }) => make("li", { class: "chip" }, square(colour), text)));
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {number} width
   * @param {number} height
   * @param {string} ink
   */
  #axes(pen, width, height, ink) {
    const { names, unit } = /** @type {Dots} */ (this.dots);
    pen.strokeStyle = pen.fillStyle = ink;
    pen.globalAlpha = 0.35;
    pen.beginPath();
    pen.rect(LEFT, TOP, width - LEFT - RIGHT, height - TOP - BOTTOM);
    const [from, to] = this.range.map((value) => this.#place(value, value));
    pen.moveTo(from[0], from[1]);
    pen.lineTo(to[0], to[1]);
    pen.stroke();
    pen.globalAlpha = 1;
    const step = 10 ** Math.floor(Math.log10((this.range[1] - this.range[0]) / 2));
    const every = (this.range[1] - this.range[0]) / step > 8 ? 2 * step : step;
    for (let tick = Math.ceil(this.range[0] / every) * every; tick <= this.range[1]; tick += every) {
      const [x, y] = this.#place(tick, tick);
      const text = figure(Math.abs(tick) < every / 2 ? 0 : tick, every < 0.1 ? 2 : every < 1 ? 1 : 0);
      pen.textAlign = "center";
      pen.fillText(text, x, height - BOTTOM + 13);
      pen.textAlign = "right";
      pen.fillText(text, LEFT - 5, y + 4);
    }
    pen.textAlign = "center";
    pen.fillText(`A: ${names[0]} (${unit})`, (LEFT + width - RIGHT) / 2, height - 5, width - LEFT);
    pen.save();
    pen.translate(11, (TOP + height - BOTTOM) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(`B: ${names[1]}`, 0, 0, height - BOTTOM);
    pen.restore();
  }

  /** @param {number} voxel */
  #has(voxel) {
    return this.dots !== null && Number.isFinite(this.dots.a[voxel] + this.dots.b[voxel]);
  }

  /**
   * @param {number} a
   * @param {number} b
   * @returns {[number, number]} pixels
   */
  #place(a, b) {
    const [low, high] = this.range;
    const [width, height] = this.size;
    return [LEFT + ((a - low) / (high - low)) * width, TOP + height - ((b - low) / (high - low)) * height];
  }

  /** @param {PointerEvent} event */
  #values(event) {
    const box = this.canvas.getBoundingClientRect();
    const [low, high] = this.range;
    const across = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    const up = 1 - (event.clientY - box.top - TOP) / (box.height - TOP - BOTTOM);
    return [across, up].map((share) => low + share * (high - low));
  }

  /** @param {PointerEvent} event */
  #nearest(event) {
    const box = this.canvas.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    /** @type {number | null} */
    let found = null;
    let least = NEAR_PX;
    this.dots?.a.forEach((a, voxel) => {
      if (!this.#has(voxel)) return;
      const [x, y] = this.#place(a, /** @type {Dots} */ (this.dots).b[voxel]);
      const far = Math.hypot(x - at[0], y - at[1]);
      if (far < least) [least, found] = [far, voxel];
    });
    return found;
  }

  #listen() {
    const { canvas } = this;
    /** @type {number[][] | null} */
    let drawn = null;
    canvas.addEventListener("pointerdown", (event) => {
      drawn = [this.#values(event)];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drawn) return this.listeners.point(this.#nearest(event));
      drawn.push(this.#values(event));
      this.lasso = drawn;
      this.draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      const polygon = drawn;
      drawn = null;
      if (polygon && polygon.length > 3) return this.listeners.lassoed(polygon);
      const voxel = this.#nearest(event);
      if (voxel !== null) this.listeners.open(voxel);
    });
    canvas.addEventListener("pointercancel", () => { drawn = null; });
    canvas.addEventListener("pointerleave", () => this.listeners.point(null));
  }
}
