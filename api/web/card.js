// The card of one voxel: its labels as bars, how well it is predicted, its best images and its nearest voxels.
// @ts-check
import { figure, find, make, rate, say } from "./dom.js";
import { CARD } from "./questions.js";
import { ask } from "./server.js";
import { metricOf, ofConcept } from "./shown.js";

const NAMES = /** @type {Record<string, string>} */ ({
  "brainlmm-eq2": "BrainLMM, equation 2",
  "brainlmm-fused": "BrainLMM with text",
  "brainlmm-joint": "BrainLMM, labels together",
  "brainlmm-released": "BrainLMM, released code",
  "clip-msm": "CLIP-MSM",
});

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
  return make("li", {}, make("span", { class: "text", title: text, dir: "auto" }, text), make("span", { class: "bar" }, filled), make("span", { class: "number" }, shown));
}

/** @param {any} label how sure its place is, and what was measured of it on held-out responses, below its bar */
function evidence(label) {
  const told = label.stability === null ? [] : [`stability ${figure(label.stability)}`];
  if (label.labelQ !== null) told.push(`n ${label.nImages} · AUC ${figure(label.auc)} · ${rate(label.labelQ)}`);
  if (!told.length) return [];
  const tick = make("span", { class: "tick", title: "verified" }, label.verified ? "✓ " : "");
  return [make("span", { class: "evidence" }, tick, told.join(" · "))];
}

/** @param {(number | null)[]} place x, y and z */
export function millimetres(place) {
  return place.every((at) => at !== null && Number.isFinite(at)) ? ` · ${place.map((at) => figure(at, 1)).join(", ")} mm` : "";
}

/** @param {any} voxel */
function beyond({ semantic, semanticUnknown, semanticR, semanticQ }) {
  if (semantic === null) return semanticUnknown;
  const measured = `r ${figure(semanticR)}, ${rate(semanticQ)}, without what luminance, contrast and edges predict`;
  return semantic ? `Predicted beyond contrast and edges: ${measured}.` : `Contrast and edges may explain all that is predicted (${measured}): its labels may say what is bright and busy, not what is shown.`;
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
    /** @type {number | null} */
    this.wanted = null;
    this.model = "";
    this.concept = make("div", { id: "card-concept" });
    /** @type {(voxel: number) => string} */
    this.ofConcept = () => "";
    this.title = "";
  }

  /**
   * What is said of the concept that the map shows.
   * @param {import("./state.js").State} state
   * @param {import("./shown.js").Shown | null} shown
   * @param {import("./evidence.js").Evidence} evidence
   */
  setConcept(state, shown, evidence) {
    this.title = ofConcept(state) ? state.concept : "";
    const similarity = metricOf(state) === "z" ? () => "" : (/** @type {number} */ voxel) => `similarity ${shown?.text(voxel) ?? "–"}`;
    this.ofConcept = (voxel) => [similarity(voxel), evidence.text(voxel)].filter(Boolean).join(" · ");
    if (this.wanted !== null) this.#tellConcept(this.wanted);
  }

  /** @param {number} voxel */
  #tellConcept(voxel) {
    this.concept.replaceChildren(...(this.title ? [make("h3", {}, `“${this.title}” here`), make("p", { class: "note" }, this.ofConcept(voxel) || "not shown on the map")] : []));
  }

  hide() {
    this.wanted = null;
    this.place.hidden = true;
    this.place.replaceChildren();
  }

  /**
   * @param {number} index
   * @param {string} model
   */
  async show(index, model) {
    this.wanted = index;
    this.model = model;
    const { voxel } = await ask(CARD, { index, model: model || null });
    // Another voxel or model was chosen, or the card closed, while this one was on its way.
    if (this.wanted !== index || this.model !== model) return;
    const where = voxel.vertex === null ? `i ${voxel.i}, j ${voxel.j}, k ${voxel.k}` : `vertex ${voxel.vertex}`;
    const side = voxel.hemisphere ? `${voxel.hemisphere} · ` : "";
    this.fill(
      index,
      { title: `Voxel ${voxel.voxel}`, note: `${side}${where}${millimetres([voxel.xMm, voxel.yMm, voxel.zMm])}`, rois: voxel.rois },
      this.concept,
      this.#labels(voxel),
      this.#quality(voxel),
      ...this.#images(voxel),
      ...this.#neighbours(voxel),
    );
    this.#tellConcept(index);
    say(`Voxel ${voxel.voxel}: ${(voxel.rankings[0]?.labels ?? []).slice(0, 3).map((/** @type {any} */ label) => label.text).join(", ") || "no labels"}`);
  }

  /**
   * Shows what is known of a place.
   * @param {number} index the voxel's number
   * @param {{title: string, note: string, rois: string[]}} head
   * @param {...Node} parts
   */
  fill(index, { title, note, rois }, ...parts) {
    this.wanted = index;
    const close = make("button", { type: "button", class: "quiet", "aria-label": "Close the card", click: () => { this.hide(); this.closed(); } }, "×");
    const chips = make("p", { class: "chips" }, ...rois.map((roi) => make("span", { class: "chip" }, roi)));
    this.place.replaceChildren(make("header", {}, make("div", {}, make("h2", {}, title), make("p", { class: "note" }, note)), chips, close), ...parts);
    this.place.hidden = false;
  }

  /** @param {any} voxel the labels of each scorer stand side by side */
  #labels(voxel) {
    if (!voxel.rankings.length) return make("p", { class: "note" }, "This voxel has no labels: only significant voxels are dissected.");
    const columns = voxel.rankings.map((/** @type {any} */ { scorer, labels }) => {
      const bars = labels.map((/** @type {any} */ label) => {
        const item = bar(label.text, label.probability, `${Math.round(label.probability * 100)} %`);
        item.append(...evidence(label));
        return item;
      });
      return make("div", {}, make("h3", {}, `Labels by ${NAMES[scorer] ?? scorer}`), make("ol", { class: "bars" }, ...bars));
    });
    return make("div", {}, make("div", { class: "methods" }, ...columns), make("p", { class: "note" }, "Bars are probabilities over the voxel's labels, stability the share of resamples of their pictures in which a label comes first. ✓ holds on held-out responses: AUC of those to the n test images that show the label against the rest, q at most 0.05."));
  }

  /** @param {any} voxel */
  #quality(voxel) {
    const bars = [bar("R² on test images", voxel.r2, figure(voxel.r2)), bar("noise ceiling", voxel.noiseCeiling, figure(voxel.noiseCeiling))];
    const q = voxel.q === null ? "" : `Predicted at all: ${voxel.significant ? "significant" : "not significant"}, ${rate(voxel.q)}.`;
    return make("div", {}, make("h3", {}, "Prediction"), make("ul", { class: "bars" }, ...bars), make("p", { class: "note" }, q), make("p", { class: "note" }, beyond(voxel)));
  }

  /** @param {any} voxel */
  #images(voxel) {
    if (!voxel.topImages.length) return [];
    const tiles = voxel.topImages.map((/** @type {any} */ image) => {
      const picture = make("img", { src: image.url, alt: image.caption ?? "", loading: "lazy", width: 160, height: 120 });
      const frame = make("div", { class: "frame" }, picture);
      picture.addEventListener("error", () => frame.replaceChildren(make("span", { class: "note" }, "not on this machine")));
      return make("li", {}, frame, make("p", {}, image.caption ?? image.stimulusId), make("p", { class: "note" }, image.seen ? (image.measured === null ? "seen" : `measured ${figure(image.measured)} z`) : "not seen"));
    });
    return [make("h3", {}, "Images that drive it"), make("ul", { class: "images" }, ...tiles)];
  }

  /** @param {any} voxel */
  #neighbours(voxel) {
    if (!voxel.neighbours.length) return [];
    const items = voxel.neighbours.map((/** @type {any} */ near) =>
      make("li", { class: "clipped" }, make("button", { type: "button", class: "link", click: () => this.open(near.voxel) }, `voxel ${near.voxel}`), ` ${near.rois.join(", ")} · ${near.labels[0]?.text ?? "no label"} · ${figure(near.similarity)}`),
    );
    return [make("h3", {}, "Nearest voxels"), make("ul", { class: "near" }, ...items)];
  }
}
