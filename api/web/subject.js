// A subject as the page sees it: its flat map, its regions, and the surfaces that it has in 3-D.
// @ts-check
import { grey } from "./paint.js";
import { Trouble, getArrays, getJson, getPixelMap } from "./server.js";

/** In place of a voxel, where a pixel shows no cortex. */
export const OUTSIDE = -2;

/**
 * @typedef {object} Region
 * @property {string} name
 * @property {string} source
 * @property {string} description
 * @property {number[]} voxels
 * @property {number[][]} paths x, y, x, y … as fractions of width and height
 * @property {number[][]} names where its name goes, likewise
 *
 * @typedef {object} FlatPixels
 * @property {number} width
 * @property {number} height
 * @property {Int32Array} voxelAt the voxel of each pixel, −1 cortex without one, −2 no cortex
 * @property {Uint8Array} curvature of each pixel
 */

export class Subject {
  /**
   * @param {string} id
   * @param {{flat: boolean, surfaces: string[], rois: Region[]}} described
   * @param {FlatPixels | null} pixels null without a flat map
   */
  constructor(id, described, pixels) {
    this.id = id;
    this.pixels = pixels;
    this.regions = described.rois;
    this.surfaces = described.surfaces;
    /** @type {Uint32Array<ArrayBuffer> | null} */
    this.greys = null;
    /** x, y and z of each voxel in mm; empty until `locate` has fetched them. */
    this.mm = new Float32Array(0);
    /** @type {string[][]} */
    this.regionsOf = [];
    for (const region of this.regions) for (const voxel of region.voxels) (this.regionsOf[voxel] ??= []).push(region.name);
  }

  /** The bare cortex, a colour for each pixel of the flat map; 0 where there is none. */
  get base() {
    this.greys ??= this.pixels ? bare(this.pixels) : new Uint32Array(0);
    return this.greys;
  }

  /** @param {number} voxel */
  names(voxel) {
    return this.regionsOf[voxel] ?? [];
  }

  /** Fetches where its voxels lie, once. */
  async locate() {
    if (!this.mm.length) ({ mm: this.mm } = (await getArrays(`places/${inPath(this.id)}.bin`)).arrays);
    return this.mm;
  }

  /** @returns {Promise<FlatPixels | null>} its flat map in twice as many pixels each way, for files; null where it has none */
  async fine() {
    if (!this.pixels) return null;
    return getPixelMap(`pixelmaps/${inPath(this.id)}.bin?width=2048`).catch((error) => {
      // A copy of the page without a server has no finer one.
      if (error instanceof Trouble && error.code === "NOT_IN_COPY") return this.pixels;
      throw error;
    });
  }

  /** @param {string} kind a surface */
  meshPath(kind) {
    return `meshes/${inPath(this.id)}/${encodeURIComponent(kind)}.bin`;
  }
}

/**
 * @param {FlatPixels} pixels
 * @returns {Uint32Array<ArrayBuffer>} the bare cortex, a colour for each pixel; 0 where there is none
 */
export function bare({ voxelAt, curvature }) {
  return Uint32Array.from(curvature, (one, place) => (voxelAt[place] === OUTSIDE ? 0 : grey(one)));
}

/** @type {Map<string, Promise<Subject>>} */
const known = new Map();

/**
 * A subject, fetched once: maps side by side are mostly of one.
 * @param {string} id
 */
export function loadSubject(id) {
  const found = known.get(id) ?? fetchSubject(id);
  known.set(id, found);
  found.catch(() => known.delete(id));
  return found;
}

/** @param {string} id */
async function fetchSubject(id) {
  const described = getJson(`outlines/${inPath(id)}.json`);
  // Asked for at once: nearly every subject has a flat map.
  const pixels = getPixelMap(`pixelmaps/${inPath(id)}.bin`).catch(async (error) => {
    if ((await described).flat) throw error;
    return null;
  });
  return new Subject(id, await described, await pixels);
}

/** @param {string} id */
function inPath(id) {
  return id.split("/").map(encodeURIComponent).join("/");
}
