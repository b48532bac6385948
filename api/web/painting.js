// What is on the map: whose cortex, in which colours, and which of its voxels are not dimmed. Every view of it is drawn from here.
// @ts-check
import { find } from "./dom.js";
import { showLegend } from "./legend.js";

/**
 * @typedef {object} Views
 * @property {import("./flatmap.js").Flatmap} flatmap
 * @property {import("./viewport.js").Viewport} viewport of the flat map
 * @property {import("./solid.js").Solid} solid
 * @property {import("./compare.js").Compare} compare what stands beside it
 *
 * @typedef {object} Listeners
 * @property {() => void} settled another subject is on it
 * @property {() => void} presented other colours are
 * @property {(concept: string) => void} search a label of the legend was chosen
 */

export class Painting {
  /**
   * @param {import("./state.js").State} state
   * @param {Views} views
   * @param {Listeners} listeners
   */
  constructor(state, views, listeners) {
    this.state = state;
    this.views = views;
    this.listeners = listeners;
    /** @type {import("./subject.js").Subject | null} */
    this.subject = null;
    /** @type {import("./shown.js").Shown | null} */
    this.shown = null;
    /** @type {import("./shown.js").TopLabels | null} */
    this.labels = null;
    /** @type {Set<number> | null} */
    this.focus = null;
  }

  /** @param {import("./subject.js").Subject} subject one that was not seen before */
  settle(subject) {
    const { flatmap, viewport, solid } = this.views;
    this.subject = subject;
    flatmap.load(subject);
    if (subject.pixels) viewport.settle(subject.pixels);
    viewport.take(this.state.at);
    if (subject.pixels) flatmap.brush.set(subject.pixels, this.state.brush);
    solid.setSubject(subject);
    this.listeners.settled();
  }

  /**
   * Shows a map, what its colours mean and what questions it.
   * @param {import("./shown.js").Shown} map
   * @param {string} title
   * @param {boolean} simulated
   */
  present(map, title, simulated) {
    this.shown = map;
    find("figure-title", HTMLElement).textContent = title;
    find("simulated", HTMLElement).hidden = !simulated;
    const doubt = find("doubt", HTMLElement);
    const warnings = new Set([...map.warnings, ...this.views.compare.warnings]);
    doubt.textContent = [...warnings].join(" ");
    doubt.hidden = !warnings.size;
    showLegend(map, this.listeners.search);
    this.listeners.presented();
    performance.mark("painted");
  }

  /** Paints again: the colours, the dimming or the chosen voxel have changed. */
  repaint() {
    const { shown, focus, state } = this;
    if (!shown) return;
    if (state.view === "3d") this.views.solid.paint(shown, focus, state.voxel);
    else this.views.flatmap.paint(shown, focus);
    this.views.compare.paint(focus, state.voxel);
  }

  /** Takes away what belongs to another subject, or to a model that is gone. */
  clear() {
    this.subject = this.shown = this.labels = this.focus = null;
    this.views.flatmap.clear();
    this.views.compare.clear();
    find("legend", HTMLElement).hidden = true;
    find("doubt", HTMLElement).hidden = true;
  }
}
