// The explorer: its parts are made and tied together here; models are chosen, voxels are selected and opened.
// @ts-check
import { Brush } from "./brush.js";
import { Card } from "./card.js";
import { CodePanel } from "./code.js";
import { Compare } from "./compare.js";
import { find, make } from "./dom.js";
import { Evidence } from "./evidence.js";
import { connectDownloads } from "./download.js";
import { Flatmap } from "./flatmap.js";
import { Group, countSubjects } from "./group.js";
import { follow } from "./growing.js";
import { Look } from "./look.js";
import { connectMenus, connectShare } from "./menus.js";
import { modelName, modelsOf } from "./models.js";
import { connectOptions } from "./options.js";
import { Painting } from "./painting.js";
import { PictureQuestion } from "./picture.js";
import { EXAMPLES, MODELS } from "./questions.js";
import { Ranking } from "./ranking.js";
import { RegionPanel } from "./region.js";
import { Search } from "./search.js";
import { Selections } from "./selections.js";
import { Trouble, ask, isGivenUp } from "./server.js";
import { Solid } from "./solid.js";
import { ALL, address, readState } from "./state.js";
import { allowStrokes, connectStrokes, nameStrokes } from "./strokes.js";
import { Tip } from "./tip.js";
import { connectVersus } from "./versus.js";
import { Viewport } from "./viewport.js";
import { Waiting } from "./waiting.js";
import { connectZoom } from "./zoom.js";

/** @type {import("./state.js").Selected} */
const NOTHING = { rois: [], brush: [], lasso: [], prefers: "" };

const state = readState();
/** @type {import("./models.js").Model[]} */
let models = [];

/**
 * @param {number} voxel
 * @returns {import("./dom.js").Child[]}
 */
function describe(voxel) {
  const { shown, subject } = painting;
  const said = group.active ? shown?.text(voxel) : compare.active ? compare.text(voxel) : [shown?.text(voxel), evidence.text(voxel)].filter(Boolean).join(" · ");
  return [make("strong", {}, group.active ? group.name(voxel) : `voxel ${voxel}`), make("span", {}, ` ${subject?.names(voxel).join(", ") ?? ""} `), make("span", { class: "value" }, ` ${said}`)];
}

const tip = new Tip(describe);
const evidence = new Evidence();
const viewport = new Viewport();
const flatmap = new Flatmap(find("stage", HTMLElement), viewport, new Brush(), tip, { open: openVoxel, brushed, pointed: (place) => compare.point(place) });
/** @type {Compare} */
const compare = new Compare(state, flatmap, () => models, {
  open: openVoxel,
  brushed,
  describe,
  changed: () => look.show(state.concept, false),
  selected: () => {
    reselect();
    region.announce();
  },
});
const showVersus = connectVersus(state, () => models, () => look.show(state.concept, false));
const solid = new Solid(state, tip, {
  open: openVoxel,
  changed: () => remember(),
  report: (error) => {
    if (painting.subject?.pixels) setView("flat");
    report(error);
  },
});
const waiting = new Waiting();
const code = new CodePanel();
const card = new Card(openVoxel, () => {
  state.voxel = null;
  mark();
  remember();
});
const region = new RegionPanel(() => select({ ...NOTHING }), () => {
  state.kept = { rois: state.rois, brush: state.brush, lasso: state.lasso, prefers: state.prefers };
  select({ ...NOTHING });
});
const selections = new Selections(() => {
  state.kept = null;
  select({});
});
const ranking = new Ranking(openVoxel);
const group = new Group(state, { open: openVoxel, choose: (model) => chooseModel(model).catch(report), changed: () => look.show(state.concept) });
const search = new Search((concept) => {
  if (state.metric !== "z") state.metric = "";
  look.show(concept);
}, () => (group.active ? "" : state.model));
const picture = new PictureQuestion(state, {
  look: () => {
    search.show("");
    return look.show("");
  },
  back: () => {
    search.show(state.concept);
    remember();
    showOptions();
  },
  search: lookUp,
  report,
});
/** @type {Painting} */
const painting = new Painting(state, { flatmap, viewport, solid, compare }, { settled: listRegions, presented: refocus, search: lookUp });
/** @type {Look} */
const look = new Look(state, painting, { picture, group, compare, ranking, card, evidence, code, waiting }, {
  models: () => models,
  asked: () => {
    remember();
    showOptions();
    showVersus();
  },
  labelled: refocus,
  empty,
  report,
});
const showOptions = connectOptions(state, async () => {
  if (painting.labels?.all !== state.all) painting.labels = null;
  await look.show(state.concept);
  if (!painting.labels) await look.loadLabels();
});

/** @param {string} [how] "step" where the browser's back button should come back to what was before */
function remember(how) {
  const url = address(state);
  if (how === "step" && url !== location.pathname + location.search) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}

/** @param {unknown} error */
function report(error) {
  if (isGivenUp(error)) return;
  const trouble = find("trouble", HTMLElement);
  trouble.textContent = error instanceof Trouble ? error.message : "Something failed in this page; reload it.";
  trouble.hidden = false;
  if (!(error instanceof Trouble)) console.error(error);
}

/** @param {string} concept which a person chose somewhere on the page */
function lookUp(concept) {
  search.show(concept);
  state.metric = "";
  look.show(concept);
}

/** @param {Partial<import("./state.js").Selected>} selection what changes of it */
function select(selection) {
  Object.assign(state, selection);
  listRegions();
  reselect();
}

/** Another selection was made: map, panels, address and list follow. */
function reselect() {
  refocus();
  remember();
  look.rank().catch(report);
}

/**
 * @param {import("./state.js").Selected} selection
 * @returns {import("./selections.js").Selection | null} null where nothing is selected
 */
function chosen(selection) {
  const { subject } = painting;
  const { rois, brush, prefers } = selection;
  const dots = compare.selected(selection);
  const regions = subject?.regions.filter(({ name }) => rois.includes(name)) ?? [];
  if (!regions.length && !brush.length && !dots) return null;
  const strokes = new Brush();
  if (subject?.pixels) strokes.set(subject.pixels, brush);
  const title = [...regions.map(({ name }) => name), ...nameStrokes(brush), ...(dots ? [prefers ? `Voxels that prefer ${prefers.toUpperCase()}` : "Lassoed voxels"] : [])].join(", ");
  return { title, voxels: new Set([...regions.flatMap(({ voxels }) => voxels), ...strokes.voxels, ...(dots ?? [])]) };
}

/** How often selections were held against each other: what is waited for may be for one that is no more. */
let held = 0;

/** Holds selection A against the present one. */
async function hold() {
  const turn = ++held;
  const { subject } = painting;
  const a = state.kept && chosen(state.kept);
  const show = () => selections.show(a, a && chosen(state), { labels: painting.labels, shown: painting.shown, mm: painting.subject?.mm ?? new Float32Array(0) });
  show();
  if (!a || !subject) return;
  await Promise.all([subject.locate(), selections.measure(state.model)]);
  if (turn === held) show();
}

/** Takes away what belongs to another subject, or to a model that is gone. */
function empty() {
  painting.clear();
  card.hide();
  region.show("", null, null, null);
  held++;
  selections.show(null, null, { labels: null, shown: null, mm: new Float32Array(0) });
  ranking.clear("");
  find("rois", HTMLElement).replaceChildren();
}

/** The voxels that are not dimmed: those of the chosen regions, under the brush and in the lasso, and of selection A. */
function refocus() {
  const now = chosen(state);
  const kept = state.kept && chosen(state.kept);
  painting.focus = now || kept ? new Set([...(now?.voxels ?? []), ...(kept?.voxels ?? [])]) : null;
  painting.repaint();
  if (group.active) return group.rank(now, painting.subject);
  region.show(now?.title ?? "", now?.voxels ?? null, painting.labels, painting.shown);
  hold().catch(report);
}

/** @param {boolean} ended whether the stroke is over */
function brushed(ended) {
  state.brush = flatmap.brush.shapes;
  if (!ended) return refocus();
  reselect();
  if (!group.active) region.announce();
}

function mark() {
  flatmap.choose(state.voxel);
  ranking.mark(state.voxel);
  if (state.view === "3d" || compare.active) painting.repaint();
}

/** @param {number} voxel */
async function openVoxel(voxel) {
  state.voxel = voxel;
  remember("step");
  mark();
  try {
    await (group.active ? painting.subject && group.card(voxel, painting.subject, card) : card.show(voxel, state.model));
    find("trouble", HTMLElement).hidden = true;
  } catch (error) {
    report(error);
  }
}

/** Regions as switches: they limit the list and dim the rest of the map. */
function listRegions() {
  const { subject } = painting;
  const place = find("rois", HTMLElement);
  const regions = subject?.regions.filter(({ voxels }) => voxels.length) ?? [];
  state.rois = state.rois.filter((name) => regions.some((one) => one.name === name));
  if (subject?.pixels) flatmap.brush.set(subject.pixels, state.brush);
  place.replaceChildren(
    ...regions.map(({ name, description }) => {
      const input = make("input", { type: "checkbox", value: name, checked: state.rois.includes(name) });
      input.addEventListener("change", () => {
        state.rois = [...place.querySelectorAll("input:checked")].map((one) => /** @type {HTMLInputElement} */ (one).value);
        reselect();
      });
      return make("label", { title: description }, input, make("span", {}, name));
    }),
  );
}

/** @param {"flat" | "3d"} view */
function setView(view) {
  const { subject } = painting;
  state.view = subject && !subject.pixels ? "3d" : view;
  const is3d = state.view === "3d";
  find("view-flat", HTMLButtonElement).setAttribute("aria-pressed", String(!is3d));
  find("view-3d", HTMLButtonElement).setAttribute("aria-pressed", String(is3d));
  find("view-flat", HTMLButtonElement).disabled = Boolean(subject && !subject.pixels);
  find("no-flat", HTMLElement).hidden = !subject || Boolean(subject.pixels);
  allowStrokes(!is3d);
  find("stage", HTMLElement).classList.toggle("solid", is3d);
  solid.show(is3d);
  tip.hide();
  remember();
  painting.repaint();
}

function listModels() {
  const chooser = find("model", HTMLSelectElement);
  chooser.replaceChildren(...models.map((model) => make("option", { value: model.modelId, title: model.modelId }, modelName(model))));
  // A link without a model gets the newest one; one that names a model that is not here is told so.
  if (countSubjects(models) > 1 || group.active) chooser.append(make("option", { value: ALL, title: "On the surface that they share, with subjects as the unit of every test" }, "all subjects"));
  if (!state.model) state.model = models[0]?.modelId ?? "";
  else if (!group.active && !models.some(({ modelId }) => modelId === state.model)) chooser.prepend(make("option", { value: state.model, disabled: true }, `${state.model} · not in this atlas`));
  chooser.value = state.model;
}

async function chooseModel(chosen = find("model", HTMLSelectElement).value) {
  const subjectOf = () => models.find(({ modelId }) => modelId === state.model)?.subjectId ?? state.model;
  const before = subjectOf();
  state.model = chosen;
  painting.labels = null;
  state.with = state.with.filter(({ kind, value }) => kind !== "model" || value !== state.model);
  if (subjectOf() !== before) {
    state.voxel = state.at = null;
    Object.assign(state, NOTHING, { rois: state.rois });
    state.kept = null;
    if (group.active) Object.assign(state, { with: [], metric: "" });
    state.lo = state.hi = null;
    empty();
  }
  listModels();
  await look.show(state.concept);
  if (state.voxel !== null && !group.active) await openVoxel(state.voxel);
  await look.loadLabels();
}

function connect() {
  find("examples", HTMLElement).append(
    ...EXAMPLES.map((concept) => make("button", { type: "button", class: "chip", click: () => lookUp(concept) }, concept)),
  );
  find("model", HTMLSelectElement).addEventListener("change", () => chooseModel());
  find("view-flat", HTMLButtonElement).addEventListener("click", () => setView("flat"));
  find("view-3d", HTMLButtonElement).addEventListener("click", () => setView("3d"));
  connectZoom(viewport, () => {
    state.at = viewport.address;
    remember();
  });
  connectStrokes(flatmap);
  connectShare(report);
  connectMenus();
  connectDownloads(
    { state, shown: () => painting.shown, subject: () => painting.subject, labels: () => painting.labels, focus: () => painting.focus, viewport, solid: () => (state.view === "3d" ? solid.picture() : null), several: () => compare.figure(), beside: () => compare.columns(), view },
    report,
  );
  addEventListener("popstate", () => location.reload());
}

/** What is seen of the cortex, for the names of files. */
function view() {
  return state.view === "3d" ? solid.words : viewport.isHome ? "" : `part ${viewport.address?.join(" ")}`;
}

/** The atlas has grown. */
async function refresh() {
  models = modelsOf(await ask(MODELS));
  listModels();
  await look.show(state.concept);
  await look.loadLabels();
}

async function start() {
  connect();
  search.show(state.concept);
  showOptions();
  try {
    models = modelsOf(await ask(MODELS));
    listModels();
    await look.show(state.concept);
    setView(state.view);
    if (painting.subject && state.voxel !== null && !group.active) await openVoxel(state.voxel);
    await look.loadLabels();
  } catch (error) {
    report(error);
  }
  follow(() => refresh().catch(report), report);
}

start();
