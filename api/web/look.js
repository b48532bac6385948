// From what is asked to what is on the map and in the list: fetched, given up where something else is asked, told where it cannot be had.
// @ts-check
import { snippets } from "./code.js";
import { find, say } from "./dom.js";
import { groupSnippets } from "./groupcode.js";
import { modelName } from "./models.js";
import { Trouble, isGivenUp } from "./server.js";
import { labelColours, metricOf, ofConcept, topLabels, values } from "./shown.js";
import { loadSubject } from "./subject.js";

const BY_MEANING = "First labels, coloured by meaning";

/**
 * @typedef {object} Parts what is asked, and what tells the answer beside the map
 * @property {import("./picture.js").PictureQuestion} picture
 * @property {import("./group.js").Group} group
 * @property {import("./compare.js").Compare} compare
 * @property {import("./ranking.js").Ranking} ranking
 * @property {import("./card.js").Card} card
 * @property {import("./evidence.js").Evidence} evidence
 * @property {import("./code.js").CodePanel} code
 * @property {import("./waiting.js").Waiting} waiting
 *
 * @typedef {object} Listeners
 * @property {() => import("./models.js").Model[]} models
 * @property {() => void} asked something else is asked
 * @property {() => void} labelled first labels are there
 * @property {() => void} empty takes away what is shown
 * @property {(error: unknown) => void} report
 */

export class Look {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./painting.js").Painting} painting
   * @param {Parts} parts
   * @param {Listeners} listeners
   */
  constructor(state, painting, parts, listeners) {
    this.state = state;
    this.painting = painting;
    this.parts = parts;
    this.listeners = listeners;
    this.pending = new AbortController();
    this.listed = new AbortController();
  }

  /**
   * Shows a concept, or the chosen quantity, on the cortex and in the list.
   * @param {string} concept
   * @param {boolean} [list] whether the list may have changed, too
   * @returns {Promise<boolean>} whether it could be shown, or something else is asked meanwhile
   */
  async show(concept, list = true) {
    const { state, painting } = this;
    const { compare, group, picture, ranking, waiting } = this.parts;
    state.concept = concept;
    picture.settle();
    this.listeners.asked();
    group.settle();
    this.pending.abort();
    this.pending = new AbortController();
    const { signal } = this.pending;
    const model = this.listeners.models().find((one) => one.modelId === state.model);
    if (!model && !group.active) {
      this.#lack();
      return false;
    }
    document.body.classList.add("busy");
    waiting.begin(!model || painting.subject?.id === model.subjectId ? `Working out the map of ${concept || !model ? `“${concept}”` : modelName(model)} …` : `Loading the cortex of ${model.subjectId} …`);
    try {
      if (!concept && !picture.asked) ranking.clear();
      const painted = model ? this.#paint(model, signal) : this.#paintGroup(signal);
      // Regions in a link may not be this subject's, and which voxels are selected is known when it is painted.
      if (model && this.#isSelected && (painting.subject?.id !== model.subjectId || compare.active)) await painted;
      await Promise.all([painted, list && this.rank(signal)]);
      find("trouble", HTMLElement).hidden = true;
      return true;
    } catch (error) {
      this.listeners.report(error);
      return signal.aborted || isGivenUp(error);
    } finally {
      if (!signal.aborted) {
        document.body.classList.remove("busy");
        waiting.end();
      }
    }
  }

  /** Lists the most similar voxels of those that are selected. @param {AbortSignal} [signal] */
  async rank(signal) {
    const { state, painting } = this;
    const { group, picture, ranking } = this.parts;
    this.listed.abort();
    this.listed = new AbortController();
    if ((!state.concept && !picture.asked) || group.active) return;
    const said = await ranking.show(state, painting.focus, picture.asked, signal ? AbortSignal.any([signal, this.listed.signal]) : this.listed.signal);
    // A selection says itself what it is.
    if (signal) say(said);
  }

  /** First labels are fetched after the first paint: only the region's panel and the label colours need them. */
  async loadLabels() {
    if (!this.painting.subject || this.parts.group.active) return;
    try {
      await this.#fetchLabels();
      this.listeners.labelled();
    } catch (error) {
      this.listeners.report(error);
    }
  }

  get #isSelected() {
    const { rois, brush, lasso, prefers, kept } = this.state;
    return rois.length || brush.length || lasso.length || prefers || kept;
  }

  /**
   * @param {import("./models.js").Model} model
   * @param {AbortSignal} signal
   */
  async #paint(model, signal) {
    const { state, painting } = this;
    const { card, code, compare, evidence, picture } = this.parts;
    const loading = painting.subject?.id === model.subjectId ? null : loadSubject(model.subjectId);
    const others = compare.active ? compare.fetch(signal) : null;
    others?.catch(() => {});
    const { header, shown: next } = metricOf(state) === "labels" ? { header: {}, shown: await this.#coloured(signal) } : await values(state, signal, picture.asked);
    const loaded = await loading;
    const fetched = await others;
    if (signal.aborted) return;
    if (loaded) painting.settle(loaded);
    if (!fetched) compare.clear();
    if (picture.asked) picture.tell(header.nearest);
    painting.present(fetched && painting.subject ? compare.settle(next, painting.subject, fetched) : next, this.#title, model.simulated);
    code.set(() => (painting.shown?.values ? [...snippets(state, painting.shown), ...compare.snippets()] : []));
    // After the colours: nobody waits for it.
    evidence.of(state).then(() => card.setConcept(state, painting.shown, evidence), this.listeners.report);
  }

  /** All subjects on the surface that they share. @param {AbortSignal} signal */
  async #paintGroup(signal) {
    const { state, painting } = this;
    const { card, code, group } = this.parts;
    try {
      const found = await group.fetch(signal);
      const loaded = await loadSubject(found.header.subject);
      if (signal.aborted) return;
      if (painting.subject !== loaded) painting.settle(loaded);
      group.tell(found, loaded);
      painting.present(found.shown, group.title, found.header.simulated);
      code.set(() => groupSnippets(state, found));
      if (state.voxel !== null) await group.card(state.voxel, loaded, card);
    } catch (error) {
      // Whoever was on the map before is not in the group's place.
      if (!signal.aborted) {
        this.listeners.empty();
        group.clear();
        find("figure-title", HTMLElement).textContent = "All subjects";
      }
      throw error;
    }
  }

  /** @param {AbortSignal} signal */
  async #coloured(signal) {
    const { waiting } = this.parts;
    find("figure-title", HTMLElement).textContent = BY_MEANING;
    waiting.begin("Working out the colours of the labels, once for each model; the first time takes about a minute …");
    const { model } = this.state;
    const top = this.painting.labels ?? (await this.#fetchLabels());
    return labelColours(model, top, signal, (sentence) => waiting.tell(sentence));
  }

  /** First labels of what is shown; where another model was chosen meanwhile, they are not kept. */
  async #fetchLabels() {
    const { state, painting } = this;
    const { model, all } = state;
    const found = await topLabels(state);
    if (state.model === model && state.all === all) painting.labels = found;
    return found;
  }

  get #title() {
    const { state } = this;
    const { asked } = this.parts.picture;
    const metric = metricOf(state);
    if (ofConcept(state)) return `${metric ? "z of the similarity" : "Similarity"} to “${state.concept}”`;
    if (asked) return `Predicted response to “${asked.name}”`;
    if (metric !== state.metric) return "How well each voxel is predicted";
    return metric === "labels" ? BY_MEANING : find("show", HTMLSelectElement).selectedOptions[0].text;
  }

  /** The model that is asked for is not there: nothing is shown in its place. */
  #lack() {
    document.body.classList.remove("busy");
    this.parts.waiting.end();
    this.listeners.empty();
    if (!this.listeners.models().length) return this.listeners.report(new Trouble("This atlas has no model yet; run `voxel-atlas ingest`, and this page will fill.", "NOT_FOUND"));
    find("figure-title", HTMLElement).textContent = "No such model";
    this.listeners.report(new Trouble(`The model ${this.state.model} is not in this atlas: it was removed, or the link is of another atlas. Choose one of the models above.`, "NOT_FOUND"));
  }
}
