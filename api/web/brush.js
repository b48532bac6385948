// The brush: discs on the flat map, and the voxels that they touch.
// @ts-check

const UNITS = 1000;
// An address holds so many discs; a stroke of the whole map's width has about 100.
const MOST_DISCS = 300;
const SPACING = 0.7;

/** @typedef {number[]} Disc x, y, radius in thousandths of the flat map's width */

export class Brush {
  constructor() {
    /** @type {Disc[]} */
    this.discs = [];
    /** @type {Set<number>} */
    this.voxels = new Set();
    this.radius = 14;
  }

  /**
   * @param {import("./subject.js").FlatPixels} pixels
   * @param {Disc[]} discs
   */
  set(pixels, discs) {
    this.discs = [];
    this.voxels = new Set();
    for (const disc of discs) this.#add(pixels, disc);
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
    const [fromX, fromY] = (!first && this.discs.at(-1)) || [x, y];
    // A fast pointer leaves gaps: discs are set all the way from the last one.
    const steps = Math.floor(Math.hypot(x - fromX, y - fromY) / (this.radius * SPACING));
    const before = this.discs.length;
    if (first) this.#add(pixels, [Math.round(x), Math.round(y), this.radius]);
    for (let step = 1; step <= steps; step++) {
      const share = step / steps;
      this.#add(pixels, [Math.round(fromX + (x - fromX) * share), Math.round(fromY + (y - fromY) * share), this.radius]);
    }
    return this.discs.length > before;
  }

  /**
   * @param {import("./subject.js").FlatPixels} pixels
   * @param {Disc} disc
   */
  #add({ width, height, voxelAt }, disc) {
    if (this.discs.length >= MOST_DISCS) return;
    this.discs.push(disc);
    const [x, y, radius] = disc.map((part) => (part / UNITS) * width);
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(height - 1, y + radius); row++) {
      const reach = Math.sqrt(radius * radius - (row - y) ** 2);
      for (let column = Math.max(0, Math.ceil(x - reach)); column <= Math.min(width - 1, x + reach); column++) {
        const voxel = voxelAt[row * width + column];
        if (voxel >= 0) this.voxels.add(voxel);
      }
    }
  }
}
