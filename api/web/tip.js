// The note beside the pointer: which voxel is under it, where it lies and what it shows.
// @ts-check
import { find } from "./dom.js";

export class Tip {
  /**
   * @param {(voxel: number) => import("./dom.js").Child[]} describe
   * @param {HTMLElement} place of the note
   */
  constructor(describe, place = find("tip", HTMLElement)) {
    this.place = place;
    this.describe = describe;
  }

  /**
   * @param {number} voxel
   * @param {number} left place on the stage, as a share of its width
   * @param {number} top likewise, of its height
   */
  show(voxel, left, top) {
    this.place.replaceChildren(...this.describe(voxel).filter((part) => part !== null && part !== undefined).map((part) => (part instanceof Node ? part : String(part))));
    this.place.hidden = false;
    this.place.style.left = `${left * 100}%`;
    this.place.style.top = `${top * 100}%`;
    this.place.dataset.side = `${top < 0.15 ? "below" : "above"} ${left < 0.2 ? "right" : left > 0.8 ? "left" : "middle"}`;
  }

  hide() {
    this.place.hidden = true;
  }

  /** @returns {string} what is said of it; empty while nothing is under the pointer */
  get text() {
    return this.place.hidden ? "" : this.place.textContent ?? "";
  }
}
