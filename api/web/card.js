// The card of one voxel: its labels as bars, how well it is predicted, its best images and its nearest voxels.
// @ts-check
import { figure, find, make, say } from "./dom.js";
import { ask } from "./server.js";

const VOXEL = `query Card($index: Int!, $model: String) {
  voxel(index: $index, model: $model) {
    voxel modelId subjectId simulated rois r2 r q significant noiseCeiling r2OfCeiling i j k hemisphere vertex
    labels(first: 8) { text probability rank method }
    topImages(first: 10) { rank stimulusId box response caption url }
    neighbours(first: 6) { voxel similarity rois labels(first: 1) { text } }
  }
}`;

/**
 * A horizontal bar with its text.
 * @param {string} text
 * @param {number | null} share 0 to 1
 * @param {string} shown
 */
export function bar(text, share, shown) {
  const width = Math.max(0, Math.min(1, share ?? 0)) * 100;
  const filled = make("span", { class: "filled" });
  filled.style.width = `${width}%`;
  return make("li", {}, make("span", { class: "text" }, text), make("span", { class: "bar" }, filled), make("span", { class: "number" }, shown));
}

export class Card {
  /**
   * @param {(voxel: number) => void} open opens another voxel
   * @param {() => void} closed
   */
  constructor(open, closed) {
    this.place = find("card", HTMLElement);
    this.open = open;
    this.closed = closed;
  }

  hide() {
    this.place.hidden = true;
    this.place.replaceChildren();
  }

  /**
   * @param {number} index
   * @param {string} model
   */
  async show(index, model) {
    const { voxel } = await ask(VOXEL, { index, model: model || null });
    this.place.replaceChildren(
      this.#head(voxel),
      this.#labels(voxel),
      this.#quality(voxel),
      ...this.#images(voxel),
      ...this.#neighbours(voxel),
    );
    this.place.hidden = false;
    say(`Voxel ${voxel.voxel}: ${voxel.labels.slice(0, 3).map((/** @type {any} */ label) => label.text).join(", ") || "no labels"}`);
  }

  /** @param {any} voxel */
  #head(voxel) {
    const where = voxel.vertex === null ? `i ${voxel.i}, j ${voxel.j}, k ${voxel.k}` : `vertex ${voxel.vertex}`;
    const side = voxel.hemisphere ? `${voxel.hemisphere} · ` : "";
    const close = make("button", { type: "button", class: "quiet", "aria-label": "Close the card", click: () => { this.hide(); this.closed(); } }, "×");
    return make(
      "header",
      {},
      make("div", {}, make("h2", {}, `Voxel ${voxel.voxel}`), make("p", { class: "note" }, `${side}${where}`)),
      make("p", { class: "chips" }, ...voxel.rois.map((/** @type {string} */ roi) => make("span", { class: "chip" }, roi))),
      close,
    );
  }

  /** @param {any} voxel */
  #labels(voxel) {
    if (!voxel.labels.length) return make("p", { class: "note" }, "This voxel has no labels: only significant voxels are dissected.");
    const bars = voxel.labels.map((/** @type {any} */ label) => bar(label.text, label.probability, `${Math.round(label.probability * 100)} %`));
    return make("div", {}, make("h3", {}, "Labels"), make("ol", { class: "bars" }, ...bars), make("p", { class: "note" }, `Probability by ${voxel.labels[0].method}`));
  }

  /** @param {any} voxel */
  #quality(voxel) {
    const bars = [bar("R² on test images", voxel.r2, figure(voxel.r2)), bar("noise ceiling", voxel.noiseCeiling, figure(voxel.noiseCeiling))];
    const q = voxel.q === null ? "" : voxel.significant ? `significant, q = ${figure(voxel.q, 4)}` : `not significant, q = ${figure(voxel.q)}`;
    return make("div", {}, make("h3", {}, "Prediction"), make("ul", { class: "bars" }, ...bars), make("p", { class: "note" }, q));
  }

  /** @param {any} voxel */
  #images(voxel) {
    if (!voxel.topImages.length) return [];
    const tiles = voxel.topImages.map((/** @type {any} */ image) => {
      const picture = make("img", { src: image.url, alt: image.caption ?? "", loading: "lazy", width: 160, height: 120 });
      const frame = make("div", { class: "frame" }, picture);
      picture.addEventListener("error", () => frame.replaceChildren(make("span", { class: "note" }, "not on this machine")));
      return make("li", {}, frame, make("p", {}, image.caption ?? image.stimulusId));
    });
    return [make("h3", {}, "Images that drive it"), make("ul", { class: "images" }, ...tiles)];
  }

  /** @param {any} voxel */
  #neighbours(voxel) {
    if (!voxel.neighbours.length) return [];
    const items = voxel.neighbours.map((/** @type {any} */ near) =>
      make("li", {}, make("button", { type: "button", class: "link", click: () => this.open(near.voxel) }, `voxel ${near.voxel}`), ` ${near.rois.join(", ")} · ${near.labels[0]?.text ?? "no label"} · ${figure(near.similarity)}`),
    );
    return [make("h3", {}, "Nearest voxels"), make("ul", { class: "near" }, ...items)];
  }
}
