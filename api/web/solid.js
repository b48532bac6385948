// The 3-D view and its choosers. three.js is fetched when the view is first shown, and not before.
// @ts-check
import { find, make } from "./dom.js";

/**
 * @typedef {object} Listeners
 * @property {(voxel: number) => void} open
 * @property {() => void} changed the state was changed
 * @property {(error: unknown) => void} report
 */

export class Solid {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./tip.js").Tip} tip
   * @param {Listeners} listeners
   */
  constructor(state, tip, listeners) {
    this.state = state;
    this.tip = tip;
    this.listeners = listeners;
    /** @type {import("./subject.js").Subject | null} */
    this.subject = null;
    /** @type {Promise<import("./cortex.js").Cortex> | null} */
    this.cortex = null;
    /** @type {[import("./shown.js").Shown, Set<number> | null, number | null] | null} */
    this.painted = null;
    this.side = find("side", HTMLSelectElement);
    this.surface = find("surface", HTMLSelectElement);
    this.side.addEventListener("change", () => {
      this.state.side = this.side.value;
      this.state.camera = null;
      this.#draw();
    });
    this.surface.addEventListener("change", () => {
      this.state.surface = this.surface.value;
      this.#draw();
    });
  }

  /** @param {import("./subject.js").Subject} subject */
  setSubject(subject) {
    this.subject = subject;
    this.surface.replaceChildren(...subject.surfaces.map((kind) => make("option", { value: kind }, kind)));
    if (!subject.surfaces.includes(this.state.surface)) this.state.surface = "";
    this.surface.value = this.state.surface || subject.surfaces[0] || "";
  }

  /** @param {boolean} on */
  show(on) {
    find("solid", HTMLCanvasElement).hidden = !on;
    find("solid-tools", HTMLElement).hidden = !on;
    find("lens", HTMLElement).hidden = on;
    find("zoom", HTMLElement).hidden = on;
  }

  /**
   * @param {import("./shown.js").Shown} shown
   * @param {Set<number> | null} focus
   * @param {number | null} chosen
   */
  paint(shown, focus, chosen) {
    this.painted = [shown, focus, chosen];
    this.#draw();
  }

  /** @returns {Promise<Blob> | null} what is seen, as a PNG */
  picture() {
    return this.cortex?.then((cortex) => cortex.picture()) ?? null;
  }

  async #draw() {
    if (!this.subject) return;
    try {
      const { Cortex, SIDES } = await import("./cortex.js");
      this.cortex ??= Cortex.create(this.tip, { open: this.listeners.open, turned: (camera) => this.#turned(camera) });
      const cortex = await this.cortex;
      if (!this.side.options.length) this.side.replaceChildren(...Object.entries(SIDES).map(([key, { name }]) => make("option", { value: key }, name)));
      const side = /** @type {import("./cortex.js").Side} */ (this.state.side in SIDES ? this.state.side : "behind");
      this.side.value = side;
      await cortex.load(this.subject, this.surface.value);
      cortex.look(side);
      if (this.state.camera) cortex.turnTo(this.state.camera);
      if (this.painted) cortex.paint(...this.painted);
      this.listeners.changed();
    } catch (error) {
      this.cortex = null;
      this.listeners.report(error);
    }
  }

  /** @param {number[]} camera */
  #turned(camera) {
    this.state.camera = camera;
    this.listeners.changed();
  }
}
