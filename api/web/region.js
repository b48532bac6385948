// The panel of a region, brushed or chosen by name: which labels come first in it most often (figure 3, live).
// @ts-check
import { bar } from "./card.js";
import { figure, find, make, say } from "./dom.js";

const MOST = 10;

export class RegionPanel {
  /**
   * @param {() => void} cleared called when the person wants no region any more
   * @param {() => void} kept called when it is to be held against another
   */
  constructor(cleared, kept) {
    this.place = find("region", HTMLElement);
    this.cleared = cleared;
    this.kept = kept;
  }

  /**
   * @param {string} title
   * @param {Set<number> | null} voxels null when there is no region
   * @param {import("./shown.js").TopLabels | null} labels
   * @param {import("./shown.js").Shown | null} shown
   */
  show(title, voxels, labels, shown) {
    this.place.hidden = !voxels;
    if (!voxels) return;
    if (!voxels.size) return this.#nothing(title);
    const { labelled, most } = labels?.count(voxels) ?? { labelled: 0, most: [] };
    const bars = most.slice(0, MOST).map(({ text, n }) => bar(text, n / most[0].n, `${n}`));
    const close = make("button", { type: "button", class: "quiet", "aria-label": "Clear the region", click: () => this.cleared() }, "×");
    this.place.replaceChildren(
      make("header", {}, make("div", {}, make("h2", {}, title), make("p", { class: "note" }, this.#numbers(voxels, shown))), close),
      make("h3", {}, "Most frequent first labels"),
      bars.length ? make("ol", { class: "bars" }, ...bars) : make("p", { class: "note" }, `No voxel of this region has labels${labels?.all === false ? " that contrast and edges do not explain; Options show all" : ""}.`),
      make("button", { type: "button", class: "chip", title: "Then make another selection: both are held against each other", click: () => this.kept() }, "Keep as A, to compare"),
      ...(bars.length ? [make("p", { class: "note" }, `${labelled.toLocaleString("en")} labelled voxels, by ${labels?.method}`)] : []),
    );
  }

  /** @param {string} title */
  #nothing(title) {
    const close = make("button", { type: "button", class: "quiet", "aria-label": "Clear the region", click: () => this.cleared() }, "×");
    this.place.replaceChildren(make("header", {}, make("div", {}, make("h2", {}, title), make("p", { class: "note" }, "No voxel is selected: brush over cortex that is coloured, encircle it, or choose a region that holds voxels.")), close));
  }

  /** Says what the panel shows, when a stroke has ended. */
  announce() {
    const words = [...this.place.querySelectorAll(".text")].slice(0, 3).map((word) => word.textContent);
    say(`${this.place.querySelector("h2")?.textContent ?? ""}: ${words.join(", ") || "no labels"}`);
  }

  /**
   * @param {Set<number>} voxels
   * @param {import("./shown.js").Shown | null} shown
   */
  #numbers(voxels, shown) {
    const n = `${voxels.size.toLocaleString("en")} ${voxels.size === 1 ? "voxel" : "voxels"}`;
    if (!shown?.values) return n;
    let [sum, count] = [0, 0];
    for (const voxel of voxels)
      if (Number.isFinite(shown.values[voxel])) {
        sum += shown.values[voxel];
        count++;
      }
    return count ? `${n}, mean ${shown.unit} ${figure(sum / count, 3)}` : n;
  }
}
