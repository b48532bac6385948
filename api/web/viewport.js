// Which part of a flat map is seen. Places are shares of its width and height, so that maps of other sizes can follow.
// @ts-check

const CLOSEST = 24;
const MARGIN = 1.08;
// A map that is nearly filled is shown whole.
const LEAST_HOME = 1.25;
// Share of the filled pixels on each side that the first view may leave out.
const FAR_OFF = 0.003;

/** @typedef {{k: number, x: number, y: number}} Part how much larger than the whole, and its left top corner */

export class Viewport {
  constructor() {
    /** @type {Part} */
    this.part = { k: 1, x: 0, y: 0 };
    /** @type {Part} */
    this.home = { k: 1, x: 0, y: 0 };
    /** @type {Set<() => void>} */
    this.followers = new Set();
  }

  /**
   * @param {() => void} follower is told of every change
   * @returns {() => void} after which it is told no more
   */
  follow(follower) {
    this.followers.add(follower);
    return () => { this.followers.delete(follower); };
  }

  /** @param {import("./subject.js").FlatPixels} pixels whose cortex with voxels is the first view, and what a reset goes back to */
  settle(pixels) {
    const [left, top, right, bottom] = filled(pixels);
    const k = Math.min(1 / (right - left), 1 / (bottom - top)) / MARGIN;
    this.home = k < LEAST_HOME ? { k: 1, x: 0, y: 0 } : around((left + right) / 2, (top + bottom) / 2, k);
    this.#go(this.home);
  }

  get isHome() {
    return same(this.part, this.home);
  }

  get isWhole() {
    return this.part.k === 1;
  }

  reset() {
    this.#go(this.home);
  }

  whole() {
    this.#go({ k: 1, x: 0, y: 0 });
  }

  /**
   * Comes nearer to a place, which stays where it is.
   * @param {number} factor below 1 to go away
   * @param {number} x
   * @param {number} y
   * @returns {boolean} whether anything changed
   */
  zoom(factor, x = this.part.x + 0.5 / this.part.k, y = this.part.y + 0.5 / this.part.k) {
    const k = Math.min(CLOSEST, Math.max(1, this.part.k * factor));
    const grown = this.part.k / k;
    return this.#go({ k, x: x - (x - this.part.x) * grown, y: y - (y - this.part.y) * grown });
  }

  /**
   * @param {number} dx to the right, as a share of what is seen
   * @param {number} dy down
   */
  pan(dx, dy) {
    const { k, x, y } = this.part;
    return this.#go({ k, x: x + dx / k, y: y + dy / k });
  }

  /**
   * Brings a place into view.
   * @param {number} x
   * @param {number} y
   */
  reveal(x, y) {
    const { k } = this.part;
    const within = (/** @type {number} */ place, /** @type {number} */ start) => place >= start && place <= start + 1 / k;
    if (!within(x, this.part.x) || !within(y, this.part.y)) this.#go(around(x, y, k));
  }

  /** @returns {number[] | null} centre in thousandths and enlargement in percent, for an address; null at home */
  get address() {
    const { k, x, y } = this.part;
    return this.isHome ? null : [Math.round(1000 * (x + 0.5 / k)), Math.round(1000 * (y + 0.5 / k)), Math.round(100 * k)];
  }

  /** @param {number[] | null} address */
  take(address) {
    if (address) this.#go(around(address[0] / 1000, address[1] / 1000, Math.min(CLOSEST, Math.max(1, address[2] / 100))));
  }

  /** @param {Part} part */
  #go(part) {
    const next = clamped(part);
    if (same(next, this.part)) return false;
    this.part = next;
    for (const follower of this.followers) follower();
    return true;
  }
}

/**
 * @param {number} x
 * @param {number} y
 * @param {number} k
 */
function around(x, y, k) {
  return clamped({ k, x: x - 0.5 / k, y: y - 0.5 / k });
}

/** @param {Part} part */
function clamped({ k, x, y }) {
  const most = 1 - 1 / k;
  return { k, x: Math.min(most, Math.max(0, x)), y: Math.min(most, Math.max(0, y)) };
}

/**
 * @param {Part} one
 * @param {Part} other
 */
function same(one, other) {
  return one.k === other.k && one.x === other.x && one.y === other.y;
}

/**
 * The box around the pixels that show a voxel, but for a few that lie far off, as shares; the whole map where none does.
 * @param {import("./subject.js").FlatPixels} pixels
 */
function filled({ width, height, voxelAt }) {
  const [columns, rows] = [new Uint32Array(width), new Uint32Array(height)];
  let total = 0;
  for (let at = 0; at < voxelAt.length; at++) {
    if (voxelAt[at] < 0) continue;
    columns[at % width]++;
    rows[Math.floor(at / width)]++;
    total++;
  }
  if (!total) return [0, 0, 1, 1];
  const first = (/** @type {Uint32Array} */ counts) => {
    let [sum, at] = [0, 0];
    while ((sum += counts[at]) <= total * FAR_OFF) at++;
    return at / counts.length;
  };
  return [first(columns), first(rows), 1 - first(columns.slice().reverse()), 1 - first(rows.slice().reverse())];
}
