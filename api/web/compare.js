// Maps side by side: the first one and up to five others that differ from it in one thing, on one scale, with the
// difference of the first two, a dot for each voxel, and the share that prefers the first.
// @ts-check
import { snippets } from "./code.js";
import { contrastOf, difference, preferring } from "./difference.js";
import { figure, find, make, table } from "./dom.js";
import { modelName } from "./models.js";
import { Panel } from "./panel.js";
import { correlation, inside } from "./preference.js";
import { preferred } from "./preferred.js";
import { Scatter } from "./scatter.js";
import { Trouble, getArrays } from "./server.js";
import { asked, coloured, metricOf, ofConcept, values } from "./shown.js";
import { MOST_PANELS } from "./state.js";
import { loadSubject } from "./subject.js";

const LETTERS = "ABCDEF";
const READOUTS = /** @type {Record<string, string>} */ ({ half: "half", pattern: "pattern", weights: "ridge weights", paper: "ridge weights, not centred", labels: "the voxels' labels" });

/**
 * @typedef {import("./state.js").Other} Other
 * @typedef {import("./shown.js").Shown} Shown
 * @typedef {import("./subject.js").Subject} Subject
 * @typedef {{shown: Shown, subject: Subject} | {trouble: string}} Loaded
 *
 * @typedef {object} Listeners
 * @property {(voxel: number) => void} open
 * @property {(ended: boolean) => void} brushed
 * @property {() => void} changed which panels there are
 * @property {() => void} selected another selection was made in the scatter
 * @property {(voxel: number) => import("./dom.js").Child[]} describe
 */

export class Compare {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./flatmap.js").Flatmap} first
   * @param {() => import("./models.js").Model[]} models
   * @param {Listeners} listeners
   */
  constructor(state, first, models, listeners) {
    this.state = state;
    this.first = first;
    this.models = models;
    this.listeners = listeners;
    this.grid = find("panels", HTMLElement);
    /** @type {Panel[]} */
    this.panels = [];
    this.difference = this.#panel("A − B", null);
    this.said = make("div", { class: "said" });
    this.difference.place.append(this.said);
    this.scatter = new Scatter({
      open: listeners.open,
      lassoed: (polygon) => this.#select(polygon, ""),
      point: (voxel) => this.#pointAt(voxel),
    });
    this.regions = make("figure", { class: "panel" });
    /** @type {Loaded[]} */
    this.loaded = [];
    /** @type {{shown: Shown, subject: Subject} | null} */
    this.one = null;
    /** @type {import("./difference.js").Difference | null} */
    this.between = null;
    /** @type {Set<number> | null} */
    this.focus = null;
  }

  /** Whether maps stand side by side; concepts and readouts do so only beside a concept, as R², for one, is not of their kind. */
  get active() {
    const { state } = this;
    if (!state.with.length || metricOf(state) === "labels") return false;
    return ofConcept(state) || state.with.every(({ kind }) => kind === "model");
  }

  /**
   * Begins to fetch what is not the first map's.
   * @param {AbortSignal} signal
   * @returns {Promise<{loaded: Loaded[], between: any}>} `between` holds A − B, or is null
   */
  async fetch(signal) {
    const states = this.state.with.slice(0, MOST_PANELS - 1).map((other) => ({ ...this.state, lo: null, hi: null, ...changed(other) }));
    const contrast = contrastOf(this.state);
    const [loaded, between] = await Promise.all([
      Promise.all(states.map(async (state) => {
        const model = this.models().find(({ modelId }) => modelId === state.model);
        if (!model) return { trouble: `The model ${state.model} is not in this atlas any more; take this map away, or choose another.` };
        try {
          const [{ shown }, subject] = await Promise.all([values(state, signal), loadSubject(model.subjectId)]);
          return { shown, subject };
        } catch (error) {
          if (error instanceof Trouble) return { trouble: error.message };
          throw error;
        }
      })),
      contrast && getArrays(`values?${new URLSearchParams({ ...asked(contrast), evidence: "1" })}`, signal).catch((error) => {
        // Without z, for one, there is a difference all the same.
        if (error instanceof Trouble) return null;
        throw error;
      }),
    ]);
    return { loaded, between };
  }

  /**
   * Takes up what was fetched.
   * @param {Shown} shown the first map
   * @param {Subject} subject its subject
   * @param {{loaded: Loaded[], between: any}} fetched
   * @returns {Shown} the first map on the scale of all
   */
  settle(shown, subject, { loaded, between }) {
    const found = loaded.flatMap((one) => ("shown" in one ? [one.shown] : []));
    const scales = [shown, ...found].flatMap(({ scale }) => (scale ? [scale] : []));
    const { lo: low, hi: high } = this.state;
    const lo = low ?? Math.min(...scales.map((scale) => scale.lo));
    const hi = high ?? Math.max(...scales.map((scale) => scale.hi));
    const rescaled = (/** @type {Shown} */ one) => {
      if (!one.scale || !one.values) return one;
      const scale = { ...one.scale, lo, hi };
      return { ...one, scale, colours: coloured(one.values, scale) };
    };
    this.loaded = loaded.map((one) => ("shown" in one ? { ...one, shown: rescaled(one.shown) } : one));
    this.one = { shown: rescaled(shown), subject };
    const pair = this.#pair();
    this.between = pair && difference(this.one.shown, pair.other.shown, between);
    this.#arrange();
    return this.one.shown;
  }

  /** Sentences that question maps beside the first. */
  get warnings() {
    return this.active ? this.loaded.flatMap((other) => ("shown" in other ? other.shown.warnings : [])) : [];
  }

  /** Takes everything away that stands beside the first map. */
  clear() {
    this.one = this.between = null;
    for (const panel of this.panels) panel.remove();
    this.panels = [];
    this.grid.classList.remove("several");
    for (const panel of this.grid.querySelectorAll("figure.panel")) panel.remove();
    find("panel-a", HTMLElement).hidden = true;
  }

  /**
   * @param {Set<number> | null} focus
   * @param {number | null} chosen
   */
  paint(focus, chosen) {
    const { one } = this;
    this.focus = focus;
    if (!one) return;
    this.loaded.forEach((other, at) => {
      const panel = this.panels[at];
      if (!("shown" in other)) return;
      const same = other.subject.id === one.subject.id;
      panel.flatmap.paint(other.shown, same ? focus : this.#regionsOf(other.subject));
      panel.flatmap.choose(same ? chosen : null);
    });
    if (!this.between) return;
    this.difference.flatmap.paint(this.between.shown, focus);
    this.difference.flatmap.choose(chosen);
    this.#tell(focus);
  }

  /**
   * @param {import("./state.js").Selected} selection
   * @returns {Set<number> | null} voxels that were selected in the scatter; null for no selection
   */
  selected({ lasso, prefers } = this.state) {
    const pair = this.#pair();
    if (!pair) return null;
    if (lasso.length > 2) return new Set([...pair.a.keys()].filter((voxel) => inside(lasso, 1000 * pair.a[voxel], 1000 * pair.b[voxel])));
    return prefers && this.between ? new Set(preferring(this.between, prefers)) : null;
  }

  /**
   * What every map says of a voxel of the first one's subject.
   * @param {number} voxel
   */
  text(voxel) {
    if (!this.one) return "";
    const said = [["A", this.one.shown], ...this.loaded.map((one, at) => ["shown" in one && one.subject.id === this.one?.subject.id ? LETTERS[at + 1] : "", "shown" in one ? one.shown : null])];
    const parts = said.flatMap(([letter, shown]) => (letter && shown ? [`${letter} ${/** @type {Shown} */ (shown).text(voxel)}`] : []));
    if (this.between) parts.push(`A − B ${this.between.shown.text(voxel)}`);
    return parts.join(" · ");
  }

  /**
   * What a picture of all maps shows.
   * @returns {{maps: {title: string, subject: Subject, shown: Shown, focus: Set<number> | null, same: boolean}[], dots: ReturnType<Scatter["picture"]> | null, said: string[]} | null} null for one map
   */
  figure() {
    const { one, between, focus } = this;
    if (!this.active || !one) return null;
    const maps = [{ title: find("panel-a", HTMLElement).textContent ?? "A", ...one, focus, same: true }];
    this.loaded.forEach((other, at) => {
      if (!("shown" in other)) return;
      const same = other.subject.id === one.subject.id;
      maps.push({ title: this.panels[at].title.textContent ?? "", ...other, focus: same ? focus : this.#regionsOf(other.subject), same });
    });
    const said = between ? [this.said.querySelector(".share")?.textContent ?? ""] : [];
    if (between) maps.push({ title: this.difference.title.textContent ?? "", subject: one.subject, shown: between.shown, focus, same: true });
    return { maps, dots: between ? this.scatter.picture() : null, said };
  }

  /**
   * What a table has of the maps beside the first, where they are of the same subject, and of A − B.
   * @returns {Record<string, Float32Array>} by the name of the column
   */
  columns() {
    const { one, between } = this;
    if (!this.active || !one) return {};
    /** @type {Record<string, Float32Array>} */
    const columns = {};
    this.loaded.forEach((other, at) => {
      if ("shown" in other && other.subject.id === one.subject.id && other.shown.values) columns[`value_${LETTERS[at + 1].toLowerCase()}`] = other.shown.values;
    });
    if (between) columns.a_minus_b = between.value;
    if (between?.q) columns.a_minus_b_q = between.q;
    return columns;
  }

  /** @returns {import("./code.js").Snippet[]} the code of the maps beside the first, and of the difference where it is a contrast */
  snippets() {
    if (!this.active) return [];
    const { state, between } = this;
    const beside = this.loaded.flatMap((other, at) => ("shown" in other ? snippets({ ...state, ...changed(state.with[at]) }, other.shown).map(({ title, text }) => ({ title: `${LETTERS[at + 1]} · ${title}`, text })) : []));
    const contrast = contrastOf(state);
    if (!contrast || !between?.q) return beside;
    const of = snippets(contrast, between.shown, `The page's A − B is ${between.shown.leftOut}; nothing is pale here.`);
    return [...beside, ...of.map(({ title, text }) => ({ title: `A − B · ${title}`, text }))];
  }

  /** @param {{x: number, y: number} | null} place that is pointed at, in pixels of the first subject's map */
  point(place) {
    for (const flatmap of this.#ofSubject()) flatmap.outlines.point(place);
  }

  /** @param {number | null} voxel */
  #pointAt(voxel) {
    for (const flatmap of this.#ofSubject()) flatmap.outlines.point(voxel === null ? null : flatmap.placeOf(voxel));
  }

  /** Flat maps of the first one's subject. */
  #ofSubject() {
    const others = this.panels.filter((_, at) => {
      const one = this.loaded[at];
      return "shown" in one && one.subject.id === this.one?.subject.id;
    });
    return [this.first, ...others.map(({ flatmap }) => flatmap), ...(this.between ? [this.difference.flatmap] : [])];
  }

  #pair() {
    const [other] = this.loaded;
    if (!this.one || !other || !("shown" in other) || other.subject.id !== this.one.subject.id) return null;
    const [a, b] = [this.one.shown.values, other.shown.values];
    return a && b ? { a, b, other } : null;
  }

  #arrange() {
    const { one } = this;
    if (!one) return;
    const { state } = this;
    const others = state.with.slice(0, MOST_PANELS - 1);
    if (this.panels.length !== others.length || this.panels.some((panel) => !panel.place.isConnected)) {
      for (const panel of this.panels) panel.remove();
      this.panels = others.map((_, at) => this.#panel(LETTERS[at + 1], () => {
        state.with.splice(at, 1);
        this.#reset();
        this.listeners.changed();
      }));
    }
    this.grid.classList.add("several");
    const title = find("panel-a", HTMLElement);
    title.hidden = false;
    title.textContent = `A · ${this.#name(null)}`;
    this.panels.forEach((panel, at) => {
      const other = this.loaded[at];
      panel.title.textContent = `${LETTERS[at + 1]} · ${this.#name(others[at])}`;
      panel.tell("shown" in other ? (other.subject.pixels ? "" : "This subject has no flat map.") : other.trouble);
      if ("shown" in other) panel.load(other.subject);
    });
    const rest = this.between ? [this.difference.place, this.scatter.place] : [this.#table()];
    for (const place of [this.difference.place, this.scatter.place, this.regions]) if (!rest.includes(place)) place.remove();
    this.grid.append(...this.panels.map(({ place }) => place), ...rest);
    if (!this.between) return;
    this.difference.load(one.subject);
    this.difference.title.textContent = this.between.q ? "A − B · z of the preference" : "A − B";
    // The interval is worked out again when it is known where voxels lie.
    if (!one.subject.mm.length) one.subject.locate().then(() => this.#tell(this.focus), () => {});
  }

  /** @param {Set<number> | null} focus */
  #tell(focus) {
    const { between } = this;
    const pair = this.#pair();
    if (!between || !pair || !this.one) return;
    const [a, b] = [this.#name(null), this.#name(this.state.with[0])];
    // Among voxels that were selected by their preference, or by A and B in the scatter, it is no question.
    const among = this.state.prefers || this.state.lasso.length ? null : focus;
    this.said.replaceChildren(...preferred(between, [a, b], { among, prefers: this.state.prefers, mm: this.one.subject.mm }, (side) => this.#select([], side)));
    const { a: first, b: second } = pair;
    const { unit } = this.one.shown;
    const said = `r ${figure(correlation(first, second))} over voxels. Draw around dots to select their voxels; click one for its card.`;
    this.scatter.show({ a: first, b: second, regions: (voxel) => pair.other.subject.names(voxel), names: [a, b], unit }, focus, this.state.lasso.map(([x, y]) => [x / 1000, y / 1000]), said);
  }

  /** Means of regions of the same name, where two subjects have no voxel in common. */
  #table() {
    const [other] = this.loaded;
    const { one } = this;
    this.regions.replaceChildren();
    if (!one || !other || !("shown" in other)) return this.regions;
    const mean = (/** @type {number[]} */ voxels, /** @type {Float32Array | null} */ all) => {
      const known = voxels.map((voxel) => all?.[voxel] ?? NaN).filter(Number.isFinite);
      return known.reduce((sum, value) => sum + value, 0) / known.length;
    };
    const rows = one.subject.regions.flatMap(({ name, voxels }) => {
      const its = other.subject.regions.find((region) => region.name === name)?.voxels ?? [];
      return voxels.length && its.length ? [[name, figure(mean(voxels, one.shown.values), 3), figure(mean(its, other.shown.values), 3)]] : [];
    });
    this.regions.append(
      make("figcaption", {}, make("h3", {}, "Regions that both have")),
      make("p", { class: "note" }, `Two subjects have no voxel in common, so their regions are held against each other by name: mean ${one.shown.unit}.`),
      table(["Region", "A", "B"], rows),
    );
    return this.regions;
  }

  /**
   * What a map is of, where it differs from the others.
   * @param {Other | null} other null for the first
   */
  #name(other) {
    const { state } = this;
    const kind = other?.kind ?? state.with[0]?.kind;
    const { concept, model, compare } = { ...state, ...(other ? changed(other) : {}) };
    if (kind === "concept") return `“${concept}”`;
    if (kind === "readout") return READOUTS[compare] ?? "the model's own readout";
    const known = this.models().find(({ modelId }) => modelId === model);
    return known ? modelName(known) : model;
  }

  /** @param {Subject} subject another one than the first's */
  #regionsOf(subject) {
    const chosen = subject.regions.filter(({ name }) => this.state.rois.includes(name));
    return chosen.length ? new Set(chosen.flatMap(({ voxels }) => voxels)) : null;
  }

  /**
   * @param {number[][]} lasso in values of A and B
   * @param {string} prefers
   */
  #select(lasso, prefers) {
    const every = Math.ceil(lasso.length / 60);
    this.state.lasso = lasso.filter((_, at) => at % every === 0).map((place) => place.map((value) => Math.round(1000 * value)));
    this.state.prefers = prefers;
    this.listeners.selected();
  }

  /** Nothing is selected any more: a lasso is of two values that are gone. */
  #reset() {
    this.state.lasso = [];
    this.state.prefers = "";
  }

  /**
   * @param {string} letter
   * @param {(() => void) | null} removed
   */
  #panel(letter, removed) {
    const { viewport, brush } = this.first;
    const { open, brushed, describe } = this.listeners;
    return new Panel(letter, viewport, brush, { open, brushed, describe, removed, pointed: (place) => this.point(place) });
  }
}

/** @param {Other} other what it changes of the state */
function changed({ kind, value }) {
  if (kind === "concept") return { concept: value };
  return kind === "model" ? { model: value } : { compare: value };
}
