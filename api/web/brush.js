// What is drawn on the flat map to select its voxels: discs of a brush, and loops of a lasso.
// @ts-check

const UNITS = 1000;
// An address holds so many discs; a stroke of the whole map's width has about 100.
const MOST_DISCS = 300;
const SPACING = 0.7;
// Corners of a loop that an address holds, and how far apart they are drawn, in thousandths of the map's width.
const MOST_CORNERS = 60;
const LEAST_STEP = 2;

/** @typedef {number[]} Shape a disc (x, y, radius) or a loop (x, y, x, y, x, y …), in thousandths of the flat map's width */

export class Brush {
  constructor() {
    /** @type {Shape[]} */
    this.shapes = [];
    /** @type {Set<number>} */
    this.voxels = new Set();
    this.radius = 14;
    /** Whether loops are drawn, and not discs. */
    this.loops = false;
    /** @type {Shape | null} the loop that is being drawn, which is the last of the shapes */
    this.open = null;
    /** @type {Set<number>} voxels of the shapes before it */
    this.before = new Set();
  }

  /**
   * @param {import("./subject.js").FlatPixels} pixels
   * @param {Shape[]} shapes
   */
  set(pixels, shapes) {
    this.shapes = [];
    this.voxels = new Set();
    this.open = null;
    for (const shape of shapes) this.#add(pixels, shape);
  }

  /**
   * Goes on with a stroke up to a place, or begins one there.
   * @param {import("./subject.js").FlatPixels} pixels
   * @param {{x: number, y: number}} place in pixels
   * @param {boolean} first whether the stroke begins here
   * @returns {boolean} whether anything was added
   */
  touch(pixels, place, first) {
    const [x, y] = [place.x, place.y].map((part) => (part / pixels.width) * UNITS);
    if (this.loops) return this.#corner(pixels, Math.round(x), Math.round(y), first);
    const last = this.shapes.at(-1);
    const [fromX, fromY] = (!first && last?.length === 3 && last) || [x, y];
    // A fast pointer leaves gaps: discs are set all the way from the last one.
    const steps = Math.floor(Math.hypot(x - fromX, y - fromY) / (this.radius * SPACING));
    const before = this.shapes.length;
    if (first) this.#add(pixels, [Math.round(x), Math.round(y), this.radius]);
    for (let step = 1; step <= steps; step++) {
      const share = step / steps;
      this.#add(pixels, [Math.round(fromX + (x - fromX) * share), Math.round(fromY + (y - fromY) * share), this.radius]);
    }
    return this.shapes.length > before;
  }

  /**
   * Ends a loop, which keeps as many corners as an address holds.
   * @param {import("./subject.js").FlatPixels} pixels
   */
  close(pixels) {
    const { open } = this;
    if (!open) return;
    this.open = null;
    const every = Math.ceil(open.length / 2 / MOST_CORNERS);
    const kept = open.filter((_, at) => (at >> 1) % every === 0);
    this.set(pixels, [...this.shapes.slice(0, -1), ...(kept.length >= 6 ? [kept] : [])]);
  }

  /**
   * @param {import("./subject.js").FlatPixels} pixels
   * @param {number} x
   * @param {number} y
   * @param {boolean} first
   */
  #corner(pixels, x, y, first) {
    if (first || !this.open) {
      if (this.shapes.length >= MOST_DISCS) return false;
      this.before = new Set(this.voxels);
      this.open = [x, y];
      this.shapes.push(this.open);
      return true;
    }
    const [lastX, lastY] = this.open.slice(-2);
    if (Math.hypot(x - lastX, y - lastY) < LEAST_STEP) return false;
    this.open.push(x, y);
    this.voxels = new Set(this.before);
    this.#fill(pixels, this.open);
    return true;
  }

  /**
   * @param {import("./subject.js").FlatPixels} pixels
   * @param {Shape} shape
   */
  #add(pixels, shape) {
    if (this.shapes.length >= MOST_DISCS) return;
    this.shapes.push(shape);
    if (shape.length > 3) return this.#fill(pixels, shape);
    const { width, height, voxelAt } = pixels;
    const [x, y, radius] = shape.map((part) => (part / UNITS) * width);
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(height - 1, y + radius); row++) {
      const reach = Math.sqrt(radius * radius - (row - y) ** 2);
      this.#take(voxelAt, row * width, Math.max(0, Math.ceil(x - reach)), Math.min(width - 1, x + reach));
    }
  }

  /**
   * Takes the voxels whose pixels' middles lie in a loop, by the even-odd rule.
   * @param {import("./subject.js").FlatPixels} pixels
   * @param {Shape} loop
   */
  #fill({ width, height, voxelAt }, loop) {
    const at = loop.map((part) => (part / UNITS) * width);
    const tops = at.filter((_, index) => index % 2);
    for (let row = Math.max(0, Math.floor(Math.min(...tops))); row <= Math.min(height - 1, Math.max(...tops)); row++) {
      const middle = row + 0.5;
      const crossings = [];
      for (let to = 0; to < at.length; to += 2) {
        const from = (to || at.length) - 2;
        const [fromY, toY] = [at[from + 1], at[to + 1]];
        if (fromY > middle !== toY > middle) crossings.push(at[from] + ((middle - fromY) / (toY - fromY)) * (at[to] - at[from]));
      }
      crossings.sort((a, b) => a - b);
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) this.#take(voxelAt, row * width, Math.max(0, Math.ceil(crossings[pair] - 0.5)), Math.min(width - 1, crossings[pair + 1] - 0.5));
    }
  }

  /**
   * @param {Int32Array} voxelAt
   * @param {number} row where it begins
   * @param {number} first column
   * @param {number} last
   */
  #take(voxelAt, row, first, last) {
    for (let column = first; column <= last; column++) {
      const voxel = voxelAt[row + column];
      if (voxel >= 0) this.voxels.add(voxel);
    }
  }
}
