// The 3-D view and its choosers. three.js is fetched when the view is first shown, and not before.
// @ts-check
import { find, make, say } from "./dom.js";

// Percent of the way from folded to inflated, or from inflated to flat.
const KEY_STEP = 10;

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
    /** Whether something is being drawn, and whether something else is wanted since. */
    this.drawing = this.stale = false;
    this.side = find("side", HTMLSelectElement);
    this.surface = find("surface", HTMLSelectElement);
    this.unfold = find("unfold", HTMLInputElement);
    this.side.addEventListener("change", () => {
      this.state.side = this.side.value;
      this.state.camera = null;
      this.#draw();
    });
    this.surface.addEventListener("change", () => {
      this.state.surface = this.surface.value;
      this.state.unfold = null;
      this.#draw();
    });
    this.unfold.addEventListener("input", () => this.#bend());
    // Not at every step: a browser takes only so many addresses.
    this.unfold.addEventListener("change", () => this.listeners.changed());
    find("solid", HTMLCanvasElement).addEventListener("keydown", (event) => {
      const step = { "[": -KEY_STEP, "]": KEY_STEP }[event.key];
      if (!step) return;
      this.unfold.value = String(Number(this.unfold.value) + step);
      this.#bend();
      this.listeners.changed();
      say(this.#shape());
    });
  }

  /** @param {import("./subject.js").Subject} subject */
  setSubject(subject) {
    this.subject = subject;
    this.surface.replaceChildren(...subject.surfaces.map((kind) => make("option", { value: kind }, kind)));
    if (!subject.surfaces.includes(this.state.surface)) this.state.surface = "";
    const [folded, inflated] = this.kinds;
    this.unfold.min = folded === inflated ? "100" : "0";
    this.unfold.max = subject.pixels ? "200" : "100";
  }

  /** The surfaces that are taken for the folded and for the inflated one. */
  get kinds() {
    const { surfaces = [] } = this.subject ?? {};
    const inflated = surfaces.includes("inflated") ? "inflated" : surfaces[0] ?? "";
    const { surface } = this.state;
    const folded = surface && surface !== inflated ? surface : surfaces.find((kind) => kind === "fiducial") ?? inflated;
    return [folded, inflated];
  }

  /** How far the cortex is unfolded: 0 folded, 1 inflated, 2 flat. */
  get unfolded() {
    const { surface, unfold } = this.state;
    const [, inflated] = this.kinds;
    const wanted = unfold ?? (!surface || surface === inflated ? 100 : 0);
    return Math.max(Number(this.unfold.min), Math.min(Number(this.unfold.max), wanted)) / 100;
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

  /** What is seen, and where the names of regions belong to; null where nothing is. */
  async picture() {
    return (await this.cortex)?.picture() ?? null;
  }

  /** What is seen in words, for the names of files. */
  get words() {
    return `3-D ${this.side.value} ${this.#shape()}`;
  }

  /** Draws what is wanted now; what comes to be wanted while it draws, it draws next. */
  async #draw() {
    this.stale = true;
    if (this.drawing || !this.subject) return;
    this.drawing = true;
    try {
      while (this.stale) {
        this.stale = false;
        await this.#drawOnce(this.subject);
      }
    } catch (error) {
      this.listeners.report(error);
    } finally {
      this.drawing = false;
    }
  }

  /** @param {import("./subject.js").Subject} subject */
  async #drawOnce(subject) {
    const { Cortex, SIDES } = await import("./cortex.js");
    this.cortex ??= Cortex.create(this.tip, { open: this.listeners.open, turned: (camera) => this.#turned(camera) });
    const cortex = await this.cortex.catch((error) => {
      this.cortex = null;
      throw error;
    });
    if (!this.side.options.length) this.side.replaceChildren(...Object.entries(SIDES).map(([key, { name }]) => make("option", { value: key }, name)));
    const side = /** @type {import("./cortex.js").Side} */ (this.state.side in SIDES ? this.state.side : "behind");
    this.side.value = side;
    const { kinds, unfolded } = this;
    this.unfold.value = String(100 * unfolded);
    this.#say();
    await cortex.load(subject, kinds, unfolded);
    cortex.look(side);
    if (this.state.camera) cortex.turnTo(this.state.camera);
    if (this.painted) cortex.paint(...this.painted);
    this.listeners.changed();
  }

  async #bend() {
    this.state.unfold = Number(this.unfold.value);
    this.#say();
    try {
      await (await this.cortex)?.bend(this.unfolded);
    } catch (error) {
      this.listeners.report(error);
    }
  }

  /** Brings the choosers to the shape. */
  #say() {
    const [folded, inflated] = this.kinds;
    this.surface.value = this.unfolded < 0.5 ? folded : inflated;
    this.unfold.setAttribute("aria-valuetext", this.#shape());
  }

  /** The shape in words. */
  #shape() {
    const percent = Math.round(100 * this.unfolded);
    return { 0: "folded", 100: "inflated", 200: "flat" }[percent] ?? (percent < 100 ? `${percent} percent from folded to inflated` : `${percent - 100} percent from inflated to flat`);
  }

  /** @param {number[]} camera */
  #turned(camera) {
    this.state.camera = camera;
    this.listeners.changed();
  }
}
