// A subject as the page sees it: its flat map, its regions, and the surfaces that it has in 3-D.
// @ts-check
import { getArrays, getJson, getPixelMap } from "./server.js";

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
    /** x, y and z of each voxel in mm; empty until `locate` has fetched them. */
    this.mm = new Float32Array(0);
    /** @type {string[][]} */
    this.regionsOf = [];
    for (const region of this.regions) for (const voxel of region.voxels) (this.regionsOf[voxel] ??= []).push(region.name);
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

  /** @param {string} kind a surface */
  meshPath(kind) {
    return `meshes/${inPath(this.id)}/${encodeURIComponent(kind)}.bin`;
  }
}

/** @param {string} id */
export async function loadSubject(id) {
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
