// The brush: discs on the flat map, and the voxels that they touch.
// @ts-check

const UNITS = 1000;
const MOST_DISCS = 300;

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
   * Adds a disc where the last one is not already.
   * @param {import("./subject.js").FlatPixels} pixels
   * @param {{x: number, y: number}} place in pixels
   * @param {boolean} first whether a stroke begins here
   * @returns {boolean} whether it was added
   */
  touch(pixels, place, first) {
    const disc = [place.x, place.y].map((part) => Math.round((part / pixels.width) * UNITS)).concat(this.radius);
    const last = this.discs.at(-1);
    if (this.discs.length >= MOST_DISCS || (!first && last && Math.hypot(disc[0] - last[0], disc[1] - last[1]) < this.radius / 2)) return false;
    this.#add(pixels, disc);
    return true;
  }

  /**
   * @param {import("./subject.js").FlatPixels} pixels
   * @param {Disc} disc
   */
  #add({ width, height, voxelAt }, disc) {
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
