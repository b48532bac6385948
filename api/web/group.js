// All subjects together on the surface that they share: what is asked, painted, listed and said of a vertex.
// @ts-check
import { bar, millimetres } from "./card.js";
import { figure, find, make, plainRate, rate, say, table, typed } from "./dom.js";
import { Trouble, getArrays } from "./server.js";
import { asked, coloured } from "./shown.js";
import { ALL } from "./state.js";
import { Multiples } from "./multiples.js";

const LISTED = 20;
const SHOWS = /** @type {Record<string, string>} */ ({ mean: "Mean similarity", t: "t over subjects of the similarity", q: "q over subjects of the similarity", agree: "Subjects whose similarity is above 0" });

/**
 * @typedef {{subject_id: string, model_id: string, leave_one_out_r: number | null}} Member
 * @typedef {import("./shown.js").Shown} Shown
 * @typedef {import("./subject.js").Subject} Subject
 * @typedef {{header: any, arrays: Record<string, Float32Array>, shown: Shown}} Found
 */

/** What a group's map shows. @param {import("./state.js").State} state */
export function over(state) {
  return state.over || "mean";
}

/** How many subjects an atlas has finished models of. @param {import("./models.js").Model[]} models */
export function countSubjects(models) {
  return new Set(models.filter(({ finished }) => finished).map(({ subjectId }) => subjectId)).size;
}

/** The query string of /group. @param {import("./state.js").State} state */
function askedOfGroup(state) {
  const { model: _, alpha: __, ...others } = asked(state);
  return {
    ...others,
    show: over(state),
    ...(state.smooth && { smooth: String(state.smooth) }),
    ...(state.groupq !== null && { group_q: String(state.groupq) }),
  };
}

export class Group {
  /**
   * @param {import("./state.js").State} state
   * @param {{open: (vertex: number) => void, choose: (model: string) => void, changed: () => void}} listeners
   */
  constructor(state, listeners) {
    this.state = state;
    this.open = listeners.open;
    this.place = find("group", HTMLElement);
    this.list = make("div", { class: "scroll" });
    this.selected = make("p", { class: "note" });
    this.multiples = new Multiples(listeners.choose);
    /** @type {Found | null} */
    this.found = null;
    this.#connect(listeners.changed);
  }

  get active() {
    return this.state.model === ALL;
  }

  get title() {
    return `${SHOWS[over(this.state)]} to “${this.state.concept}”, all subjects`;
  }

  /** @param {() => void} changed */
  #connect(changed) {
    const show = find("group-show", HTMLSelectElement);
    const [smooth, most] = [find("group-smooth", HTMLInputElement), find("group-q", HTMLInputElement)];
    for (const input of [show, smooth, most])
      input.addEventListener("change", () => {
        const { state } = this;
        // The range of one quantity says nothing about another.
        if (input === show) state.lo = state.hi = null;
        state.over = show.value === "mean" ? "" : show.value;
        [state.smooth, state.groupq] = [typed(smooth), typed(most)];
        changed();
      });
  }

  /** Brings the controls to the state; what is of one model is hidden while all subjects are shown. */
  settle() {
    const { state, active } = this;
    document.body.classList.toggle("together", active);
    if (!active) this.clear();
    find("group-show", HTMLSelectElement).value = over(state);
    for (const [id, value] of [["group-smooth", state.smooth], ["group-q", state.groupq]]) find(String(id), HTMLInputElement).value = value === null ? "" : String(value);
  }

  /** Nothing is known of what is asked. */
  clear() {
    this.found = null;
    this.place.replaceChildren();
    this.place.hidden = true;
    this.multiples.clear();
  }

  /** @param {AbortSignal} signal @returns {Promise<Found>} */
  async fetch(signal) {
    if (!this.state.concept) throw new Trouble("A map of all subjects is of a concept: type one, or choose an example.", "NO_CONCEPT");
    const { header, arrays } = await getArrays(`group?${new URLSearchParams(askedOfGroup(this.state))}`, signal);
    const { lo, hi, logarithmic } = header;
    const { value, colour } = arrays;
    const scale = { table: colour, lo, hi, logarithmic, fixed: false };
    const n = value.length / 2;
    const whole = over(this.state) === "agree";
    return {
      header,
      arrays,
      shown: {
        colours: coloured(value, scale),
        opacity: null,
        values: value,
        text: (vertex) => (Number.isNaN(value[vertex]) ? "" : told(arrays, vertex, header.subjects.length)),
        scale,
        names: [],
        band: 0,
        readout: "",
        title: header.title,
        unit: header.unit,
        leftOut: whole ? `of ${header.subjects.length}` : "",
        heldTo: header.held_to,
        model: `${header.subjects.length} subjects on ${header.mesh}`,
        simulated: header.simulated,
        warnings: header.warnings,
        columns: {
          hemisphere: Array.from(value, (_, at) => (at < n ? "left" : "right")),
          vertex: Array.from(value, (_, at) => at % n),
          n_subjects: arrays.n,
          mean: arrays.mean,
          t: arrays.t,
          // A published copy has none.
          ...(arrays.p && { p: arrays.p }),
          q: arrays.q,
          n_agree: arrays.agree,
        },
      },
    };
  }

  /**
   * Tells what was found beside the map, and paints every subject below it.
   * @param {Found} found
   * @param {Subject} subject the shared surface
   */
  tell(found, subject) {
    this.found = found;
    const { header, arrays } = found;
    const r = header.leave_one_out_r === null ? "" : ` The mean of the others tells each subject's map at r ${figure(header.leave_one_out_r)}.`;
    const regions = header.regions.map((/** @type {any} */ row) => [row.roi, row.n_subjects, `${figure(row.mean, 3)} [${figure(row.low, 3)}, ${figure(row.high, 3)}]`, figure(row.t, 1), plainRate(row.q)]);
    this.place.hidden = false;
    this.place.replaceChildren(
      make("h2", {}, `${header.subjects.length} subjects on ${header.mesh}`),
      make("p", { class: "note" }, `${header.n_significant.toLocaleString("en")} of ${header.n_tested.toLocaleString("en")} vertices at q ≤ 0.05 over subjects, who are the unit of every mean and test.${r}`),
      this.selected,
      make("h3", {}, "Vertices that show most"),
      this.list,
      ...(regions.length ? [make("h3", {}, "Each subject's own regions, over subjects"), make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Regions over subjects" }, table(["Region", "n", "Mean [95 %]", "t", "q"], regions))] : []),
    );
    this.multiples.show(header, arrays, subject);
  }

  /**
   * Lists the first vertices of those that are selected.
   * @param {{title: string, voxels: Set<number>} | null} selection
   * @param {Subject | null} subject
   */
  rank(selection, subject) {
    if (!this.found || !subject) return;
    const { arrays, shown } = this.found;
    const [least, value] = [over(this.state) === "q", /** @type {Float32Array} */ (shown.values)];
    const known = [...(selection?.voxels ?? value.keys())].filter((vertex) => !Number.isNaN(value[vertex]));
    const first = known.sort((a, b) => (least ? value[a] - value[b] : value[b] - value[a]) || a - b).slice(0, LISTED);
    const mean = (/** @type {Float32Array} */ all) => figure(known.reduce((sum, vertex) => sum + all[vertex], 0) / known.length, 3);
    this.selected.textContent = selection ? `${selection.title}: ${known.length.toLocaleString("en")} vertices are shown${known.length ? `, mean similarity ${mean(arrays.mean)}, mean t ${mean(arrays.t)}` : "; brush over cortex that is coloured, or choose another region"}.` : "";
    const rows = first.map((vertex) => [this.#link(vertex), subject.names(vertex).join(", "), figure(arrays.mean[vertex], 3), figure(arrays.t[vertex], 1), plainRate(arrays.q[vertex]), arrays.agree[vertex]]);
    this.list.replaceChildren(rows.length ? table(["Vertex", "Regions", "Mean", "t", "q", "Agree"], rows) : make("p", { class: "note" }, "No vertex is shown."));
  }

  /** @param {number} vertex */
  #link(vertex) {
    return make("button", { type: "button", class: "link", click: () => this.open(vertex) }, nameOf(vertex, this.found));
  }

  /**
   * The card of a vertex: its statistics, and each subject's similarity.
   * @param {number} vertex
   * @param {Subject} subject
   * @param {import("./card.js").Card} card
   */
  async card(vertex, subject, card) {
    if (!this.found) return;
    const { header, arrays } = this.found;
    const n = arrays.value.length;
    if (vertex >= n) throw new Trouble(`There is no vertex ${vertex}; ${header.mesh} has ${n.toLocaleString("en")}.`, "NOT_FOUND");
    const own = header.subjects.map((/** @type {Member} */ _, /** @type {number} */ at) => arrays.similarities[at * n + vertex]);
    const most = Math.max(...own.map((/** @type {number} */ value) => Math.abs(value) || 0), 1e-9);
    const bars = header.subjects.map((/** @type {Member} */ { subject_id: name }, /** @type {number} */ at) => bar(name, own[at] / most, figure(own[at], 3)));
    const mm = await subject.locate();
    const title = `Vertex ${nameOf(vertex, this.found)}`;
    card.fill(
      vertex,
      { title, note: `${header.mesh}, number ${vertex}${millimetres([...mm.subarray(3 * vertex, 3 * vertex + 3)])}`, rois: subject.names(vertex) },
      make("h3", {}, `“${header.title}” here`),
      make("p", {}, told(arrays, vertex, header.subjects.length) || "Fewer than half of the subjects have a value here."),
      make("h3", {}, "Similarity of each subject"),
      make("ul", { class: "bars" }, ...bars),
    );
    say(`${title}: ${told(arrays, vertex, header.subjects.length)}`);
  }

  /** @param {number} vertex */
  name(vertex) {
    return `vertex ${nameOf(vertex, this.found)}`;
  }
}

/** @param {number} vertex @param {Found | null} found */
function nameOf(vertex, found) {
  const n = (found?.arrays.value.length ?? 0) / 2;
  return vertex < n ? `${vertex} left` : `${vertex - n} right`;
}

/**
 * @param {Record<string, Float32Array>} arrays
 * @param {number} vertex
 * @param {number} subjects
 */
function told({ mean, t, q, n, agree }, vertex, subjects) {
  if (Number.isNaN(mean[vertex])) return "";
  const missing = n[vertex] < subjects ? ` · ${n[vertex]} subjects have a value` : "";
  return `mean ${figure(mean[vertex], 3)} · t ${figure(t[vertex], 1)} · ${rate(q[vertex])} · ${agree[vertex]} of ${subjects} agree${missing}`;
}
