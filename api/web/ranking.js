// The list of the voxels that are most similar to the concept.
// @ts-check
import { figure, find, make, rate } from "./dom.js";
import { TOP } from "./questions.js";
import { ask } from "./server.js";
import { readoutOf } from "./shown.js";

/**
 * @param {import("./state.js").State} state
 * @param {Set<number> | null} focus voxels that are selected; null for all
 * @returns {Record<string, unknown>} the variables of TOP
 */
export function variables(state, focus) {
  const byRegion = !state.brush.length && !state.lasso.length && !state.prefers && !state.kept;
  return {
    concept: state.concept || null,
    image: null,
    model: state.model || null,
    // Regions have names; other selections are numbers of voxels.
    rois: byRegion && state.rois.length ? state.rois : null,
    among: byRegion || !focus ? null : [...focus].sort((a, b) => a - b),
    by: state.compare === "labels" ? "LABELS" : "WEIGHTS",
    readout: readoutOf(state).toUpperCase() || null,
    baseline: state.compare === "paper" ? "NONE" : "VOCABULARY",
    // The list is of the concept, whatever the map shows; labels have no z.
    minZ: state.compare === "labels" ? null : state.minz,
    maxQ: state.compare === "labels" ? null : state.maxq,
    specific: state.compare !== "labels" && state.specific,
    semantic: !state.all,
  };
}

export class Ranking {
  /** @param {(voxel: number) => void} open */
  constructor(open) {
    this.table = find("top", HTMLTableElement);
    this.note = find("top-note", HTMLElement);
    this.open = open;
  }

  /** @param {string} note in place of the list */
  clear(note = "Type a concept to rank the voxels by their similarity to it.") {
    this.table.tBodies[0].replaceChildren();
    this.note.textContent = note;
  }

  /**
   * @param {import("./state.js").State} state
   * @param {Set<number> | null} focus
   * @param {import("./picture.js").Asked | null} picture in place of a concept
   * @param {AbortSignal} signal
   * @returns {Promise<string>} what it shows, for people who listen
   */
  async show(state, focus, picture, signal) {
    const asked = variables(state, focus);
    // What is held to evidence of a concept is not of a picture.
    if (picture) Object.assign(asked, { image: picture.data, minZ: null, maxQ: null, specific: false });
    const { similarVoxels } = await ask(TOP, asked, signal);
    const { edges, totalCount, hiddenCount, heldTo } = similarVoxels;
    this.table.tBodies[0].replaceChildren(...edges.map((/** @type {any} */ { node }) => this.#row(node)));
    this.mark(state.voxel);
    const within = asked.rois ? ` in ${state.rois.join(", ")}` : asked.among ? " that are selected" : "";
    const beyond = state.all || hiddenCount === null ? "" : " that contrast and edges do not explain";
    const which = `${within}${beyond}${heldTo && `, ${heldTo}`}`;
    const first = edges.length ? `The ${edges.length} first of ${totalCount.toLocaleString("en")} significant voxels${which}.` : `No significant voxel${which}.`;
    const hidden = hiddenCount === null ? " Which of them contrast and edges may explain is not known." : hiddenCount ? ` ${hiddenCount.toLocaleString("en")} more may be explained by contrast and edges; Options show them.` : "";
    this.note.textContent = first + hidden;
    return edges.length ? `${picture?.name ?? state.concept}: ${totalCount} voxels ranked, voxel ${edges[0].node.voxel} first` : `${picture?.name ?? state.concept}: no voxel`;
  }

  /** @param {number | null} voxel the one whose card is open */
  mark(voxel) {
    for (const line of this.table.tBodies[0].rows) line.classList.toggle("chosen", line.dataset.voxel === String(voxel));
  }

  /** @param {any} node */
  #row(node) {
    const open = (/** @type {Event} */ event) => {
      event.stopPropagation();
      this.open(node.voxel);
    };
    const words = node.labels.map((/** @type {any} */ label) => label.text).join(", ");
    return make(
      "tr",
      { "data-voxel": node.voxel, click: open },
      make("th", { scope: "row" }, make("button", { type: "button", class: "link", click: open }, node.voxel)),
      make("td", {}, node.rois.join(", "), node.semantic === false ? make("small", { class: "explained", title: "Contrast and edges of the images may explain all that is predicted of this voxel." }, " contrast?") : null),
      make("td", { class: "words" }, make("div", { class: "clipped", title: words, dir: "auto" }, words)),
      make("td", { class: "number", title: node.percentile === null ? null : `More similar than ${Math.floor(100 * node.percentile)} % of many nouns are.` }, figure(node.similarity, 3), small(node.specific ? "specific" : "")),
      make("td", { class: "number" }, figure(node.z, 1), small(node.conceptQ === null ? "" : rate(node.conceptQ))),
      make("td", { class: "number" }, figure(node.r2)),
    );
  }
}

/** @param {string} text below a number, or nothing */
function small(text) {
  return text ? make("small", { class: "below" }, text) : null;
}
