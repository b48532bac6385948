// How sure the concept that is shown is in each voxel: similarity, z, q and whether it is specific. Fetched when first wanted.
// @ts-check
import { figure, rate } from "./dom.js";
import { getArrays } from "./server.js";
import { asked, limits } from "./shown.js";

/** @typedef {{value: Float32Array, similarity: Float32Array, z: Float32Array, concept_q: Float32Array, specific: Float32Array}} Arrays */

export class Evidence {
  constructor() {
    this.path = "";
    /** @type {Arrays | null} */
    this.arrays = null;
  }

  /**
   * Fetches what belongs to the state, unless that is there.
   * @param {import("./state.js").State} state
   * @returns {Promise<Arrays | null>} null where there is no evidence: no concept is shown, or it is compared by labels
   */
  async of(state) {
    const path = limits(state) ? `values?${new URLSearchParams({ ...asked(state), evidence: "1" })}` : "";
    if (path !== this.path) {
      this.path = path;
      this.arrays = null;
    }
    if (path && !this.arrays) {
      const { arrays } = await getArrays(path);
      if (this.path === path) this.arrays = /** @type {any} */ (arrays);
    }
    return this.arrays;
  }

  /**
   * In a few words, once it is there.
   * @param {number} voxel
   */
  text(voxel) {
    const { arrays } = this;
    if (!arrays || Number.isNaN(arrays.z[voxel])) return "";
    return [`z ${figure(arrays.z[voxel], 1)}`, rate(arrays.concept_q[voxel]), ...(arrays.specific[voxel] ? ["specific"] : [])].join(" · ");
  }
}
