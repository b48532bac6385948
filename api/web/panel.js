// One more flat map beside the first: its title, its colours, and a way to take it away.
// @ts-check
import { draw, make } from "./dom.js";
import { Flatmap } from "./flatmap.js";
import { Tip } from "./tip.js";

export class Panel {
  /**
   * @param {string} letter
   * @param {import("./viewport.js").Viewport} viewport
   * @param {import("./brush.js").Brush} brush
   * @param {import("./flatmap.js").Listeners & {describe: (voxel: number) => import("./dom.js").Child[], removed: (() => void) | null}} listeners
   */
  constructor(letter, viewport, brush, listeners) {
    const { removed } = listeners;
    this.title = make("h3", {});
    this.note = make("p", { class: "note" });
    const svg = draw("svg", { "aria-hidden": "true", preserveAspectRatio: "none" });
    this.canvas = make("canvas", { tabindex: 0, role: "application", "aria-label": `Flat map ${letter}` });
    const tip = make("div", { class: "tip", hidden: true });
    this.stage = make("div", { class: "stage" }, make("div", { class: "lens" }, this.canvas, svg), tip);
    const close = removed && make("button", { type: "button", class: "quiet", "aria-label": `Take ${letter} away`, click: removed }, "×");
    this.place = make("figure", { class: "panel", "data-letter": letter }, make("figcaption", {}, this.title, close), this.stage, this.note);
    this.flatmap = new Flatmap(this.stage, viewport, brush, new Tip(listeners.describe, tip), listeners);
    /** @type {import("./subject.js").Subject | null} */
    this.subject = null;
  }

  /** @param {import("./subject.js").Subject} subject */
  load(subject) {
    if (this.subject === subject) return;
    this.subject = subject;
    this.flatmap.load(subject);
  }

  /**
   * Says what is going on in place of the map.
   * @param {string} sentence
   */
  tell(sentence) {
    this.note.textContent = sentence;
    this.stage.classList.toggle("without", Boolean(sentence));
  }

  /** Takes it off the page for good. */
  remove() {
    this.place.remove();
    this.flatmap.leave();
  }
}
