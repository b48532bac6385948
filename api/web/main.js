// The explorer: a concept is typed, the cortex is painted, voxels are listed and opened.
// @ts-check
import { Brush } from "./brush.js";
import { Card } from "./card.js";
import { CodePanel, snippets } from "./code.js";
import { Compare } from "./compare.js";
import { find, make, say } from "./dom.js";
import { Evidence } from "./evidence.js";
import { connectDownloads } from "./download.js";
import { Flatmap } from "./flatmap.js";
import { Group, countSubjects } from "./group.js";
import { groupSnippets } from "./groupcode.js";
import { follow } from "./growing.js";
import { showLegend } from "./legend.js";
import { connectMenus, connectShare } from "./menus.js";
import { modelName, modelsOf } from "./models.js";
import { connectOptions } from "./options.js";
import { PictureQuestion } from "./picture.js";
import { EXAMPLES, MODELS } from "./questions.js";
import { Ranking } from "./ranking.js";
import { RegionPanel } from "./region.js";
import { Search } from "./search.js";
import { Selections } from "./selections.js";
import { Trouble, ask } from "./server.js";
import { labelColours, metricOf, ofConcept, topLabels, values } from "./shown.js";
import { Solid } from "./solid.js";
import { ALL, address, readState } from "./state.js";
import { allowStrokes, connectStrokes, nameStrokes } from "./strokes.js";
import { loadSubject } from "./subject.js";
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
/** @type {import("./subject.js").Subject | null} */
let subject = null;
/** @type {import("./shown.js").Shown | null} */
let shown = null;
/** @type {import("./shown.js").TopLabels | null} */
let labels = null;
/** @type {Set<number> | null} */
let focus = null;
let pending = new AbortController();

/**
 * @param {number} voxel
 * @returns {import("./dom.js").Child[]}
 */
function describe(voxel) {
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
  changed: () => look(state.concept, false),
  selected: () => {
    reselect();
    region.announce();
  },
});
const showVersus = connectVersus(state, () => models, () => look(state.concept, false));
const solid = new Solid(state, tip, {
  open: openVoxel,
  changed: () => remember(),
  report: (error) => {
    if (subject?.pixels) setView("flat");
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
const group = new Group(state, { open: openVoxel, choose: (model) => chooseModel(model).catch(report), changed: () => look(state.concept) });
const search = new Search((concept) => {
  if (state.metric !== "z") state.metric = "";
  look(concept);
}, () => (group.active ? "" : state.model));
const picture = new PictureQuestion(state, {
  look: () => {
    search.show("");
    return look("");
  },
  back: () => {
    search.show(state.concept);
    remember();
    showOptions();
  },
  search: lookUp,
  report,
});
const showOptions = connectOptions(state, async () => {
  if (labels?.all !== state.all) labels = null;
  await look(state.concept);
  if (!labels) await loadLabels();
});

/** @param {string} [how] "step" where the browser's back button should come back to what was before */
function remember(how) {
  const url = address(state);
  if (how === "step" && url !== location.pathname + location.search) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}

/** Whether a request was given up, as something else is asked. @param {unknown} error */
function isGivenUp(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** @param {unknown} error */
function report(error) {
  if (isGivenUp(error)) return;
  const trouble = find("trouble", HTMLElement);
  trouble.textContent = error instanceof Trouble ? error.message : "Something failed in this page; reload it.";
  trouble.hidden = false;
  if (!(error instanceof Trouble)) console.error(error);
}

/**
 * Shows a concept, or the chosen quantity, on the cortex and in the list.
 * @param {string} concept
 * @param {boolean} [list] whether the list may have changed, too
 * @returns {Promise<boolean>} whether it could be shown, or something else is asked meanwhile
 */
async function look(concept, list = true) {
  state.concept = concept;
  picture.settle();
  remember();
  showOptions();
  showVersus();
  group.settle();
  pending.abort();
  pending = new AbortController();
  const { signal } = pending;
  const model = models.find((one) => one.modelId === state.model);
  if (!model && !group.active) {
    lack();
    return false;
  }
  document.body.classList.add("busy");
  waiting.begin(!model || subject?.id === model.subjectId ? `Working out the map of ${concept || !model ? `“${concept}”` : modelName(model)} …` : `Loading the cortex of ${model.subjectId} …`);
  try {
    if (!concept && !picture.asked) ranking.clear();
    const painted = model ? paint(model, signal) : paintGroup(signal);
    // Regions in a link may not be this subject's, and which voxels are selected is known when it is painted.
    if (model && isSelected() && (subject?.id !== model.subjectId || compare.active)) await painted;
    await Promise.all([painted, list && rank(signal)]);
    find("trouble", HTMLElement).hidden = true;
    return true;
  } catch (error) {
    report(error);
    return signal.aborted || isGivenUp(error);
  } finally {
    if (!signal.aborted) {
      document.body.classList.remove("busy");
      waiting.end();
    }
  }
}

/** @param {string} concept which a person chose somewhere on the page */
function lookUp(concept) {
  search.show(concept);
  state.metric = "";
  look(concept);
}

let listed = new AbortController();

/** Lists the most similar voxels of those that are selected. @param {AbortSignal} [signal] */
async function rank(signal) {
  listed.abort();
  listed = new AbortController();
  if ((!state.concept && !picture.asked) || group.active) return;
  const said = await ranking.show(state, focus, picture.asked, signal ? AbortSignal.any([signal, listed.signal]) : listed.signal);
  // A selection says itself what it is.
  if (signal) say(said);
}

function isSelected() {
  return state.rois.length || state.brush.length || state.lasso.length || state.prefers || state.kept;
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
  rank().catch(report);
}

/**
 * @param {import("./state.js").Selected} selection
 * @returns {import("./selections.js").Selection | null} null where nothing is selected
 */
function chosen(selection) {
  const { rois, brush, prefers } = selection;
  const dots = compare.selected(selection);
  const regions = subject?.regions.filter(({ name }) => rois.includes(name)) ?? [];
  if (!regions.length && !brush.length && !dots) return null;
  const strokes = new Brush();
  if (subject?.pixels) strokes.set(subject.pixels, brush);
  const title = [...regions.map(({ name }) => name), ...nameStrokes(brush), ...(dots ? [prefers ? `Voxels that prefer ${prefers.toUpperCase()}` : "Lassoed voxels"] : [])].join(", ");
  return { title, voxels: new Set([...regions.flatMap(({ voxels }) => voxels), ...strokes.voxels, ...(dots ?? [])]) };
}

/** Holds selection A against the present one. */
async function hold() {
  const a = state.kept && chosen(state.kept);
  const show = () => selections.show(a, a && chosen(state), { labels, shown, mm: subject?.mm ?? new Float32Array(0) });
  show();
  if (!a || !subject) return;
  await Promise.all([subject.locate(), selections.measure(state.model)]);
  show();
}

/** The model that is asked for is not there: nothing is shown in its place. */
function lack() {
  document.body.classList.remove("busy");
  waiting.end();
  empty();
  if (!models.length) return report(new Trouble("This atlas has no model yet; run `voxel-atlas ingest`, and this page will fill.", "NOT_FOUND"));
  find("figure-title", HTMLElement).textContent = "No such model";
  report(new Trouble(`The model ${state.model} is not in this atlas: it was removed, or the link is of another atlas. Choose one of the models above.`, "NOT_FOUND"));
}

/** Takes away what belongs to another subject, or to a model that is gone. */
function empty() {
  subject = shown = labels = focus = null;
  flatmap.clear();
  compare.clear();
  card.hide();
  region.show("", null, null, null);
  selections.show(null, null, { labels: null, shown: null, mm: new Float32Array(0) });
  ranking.clear("");
  find("legend", HTMLElement).hidden = true;
  find("doubt", HTMLElement).hidden = true;
  find("rois", HTMLElement).replaceChildren();
}

/**
 * @param {import("./models.js").Model} model
 * @param {AbortSignal} signal
 */
async function paint(model, signal) {
  const loading = subject?.id === model.subjectId ? null : loadSubject(model.subjectId);
  const others = compare.active ? compare.fetch(signal) : null;
  others?.catch(() => {});
  const { header, shown: next } = metricOf(state) === "labels" ? { header: {}, shown: await coloured(signal) } : await values(state, signal, picture.asked);
  const loaded = await loading;
  const fetched = await others;
  if (signal.aborted) return;
  if (loaded) settle(loaded);
  if (!fetched) compare.clear();
  if (picture.asked) picture.tell(header.nearest);
  present(fetched && subject ? compare.settle(next, subject, fetched) : next, model.simulated);
  code.set(() => (shown?.values ? [...snippets(state, shown), ...compare.snippets()] : []));
  // After the colours: nobody waits for it.
  evidence.of(state).then(() => card.setConcept(state, shown, evidence), report);
}

/** All subjects on the surface that they share. @param {AbortSignal} signal */
async function paintGroup(signal) {
  try {
    const found = await group.fetch(signal);
    const loaded = await loadSubject(found.header.subject);
    if (signal.aborted) return;
    if (subject !== loaded) settle(loaded);
    group.tell(found, loaded);
    present(found.shown, found.header.simulated);
    code.set(() => groupSnippets(state, found));
    if (state.voxel !== null) await group.card(state.voxel, loaded, card);
  } catch (error) {
    // Whoever was on the map before is not in the group's place.
    if (!signal.aborted) {
      empty();
      group.clear();
      find("figure-title", HTMLElement).textContent = "All subjects";
    }
    throw error;
  }
}

/**
 * Shows a map, what its colours mean and what questions it.
 * @param {import("./shown.js").Shown} map
 * @param {boolean} simulated
 */
function present(map, simulated) {
  shown = map;
  find("figure-title", HTMLElement).textContent = group.active ? group.title : titleOf();
  find("simulated", HTMLElement).hidden = !simulated;
  const doubt = find("doubt", HTMLElement);
  const warnings = new Set([...map.warnings, ...compare.warnings]);
  doubt.textContent = [...warnings].join(" ");
  doubt.hidden = !warnings.size;
  showLegend(map, lookUp);
  refocus();
  performance.mark("painted");
}

/** @param {AbortSignal} signal */
async function coloured(signal) {
  find("figure-title", HTMLElement).textContent = "First labels, coloured by meaning";
  waiting.begin("Working out the colours of the labels, once for each model; the first time takes about a minute …");
  const { model } = state;
  const top = labels ?? (await fetchLabels());
  return labelColours(model, top, signal, (sentence) => waiting.tell(sentence));
}

function titleOf() {
  const metric = metricOf(state);
  if (ofConcept(state)) return `${metric ? "z of the similarity" : "Similarity"} to “${state.concept}”`;
  if (picture.asked) return `Predicted response to “${picture.asked.name}”`;
  if (metric !== state.metric) return "How well each voxel is predicted";
  return metric === "labels" ? "First labels, coloured by meaning" : find("show", HTMLSelectElement).selectedOptions[0].text;
}

/** @param {import("./subject.js").Subject} loaded a subject that was not seen before */
function settle(loaded) {
  subject = loaded;
  flatmap.load(subject);
  if (subject.pixels) viewport.settle(subject.pixels);
  viewport.take(state.at);
  if (subject.pixels) flatmap.brush.set(subject.pixels, state.brush);
  solid.setSubject(subject);
  listRegions();
}

/** Paints again: the colours, the dimming or the chosen voxel have changed. */
function repaint() {
  if (!shown) return;
  if (state.view === "3d") solid.paint(shown, focus, state.voxel);
  else flatmap.paint(shown, focus);
  compare.paint(focus, state.voxel);
}

/** The voxels that are not dimmed: those of the chosen regions, under the brush and in the lasso, and of selection A. */
function refocus() {
  const now = chosen(state);
  const kept = state.kept && chosen(state.kept);
  focus = now || kept ? new Set([...(now?.voxels ?? []), ...(kept?.voxels ?? [])]) : null;
  repaint();
  if (group.active) return group.rank(now, subject);
  region.show(now?.title ?? "", now?.voxels ?? null, labels, shown);
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
  if (state.view === "3d" || compare.active) repaint();
}

/** @param {number} voxel */
async function openVoxel(voxel) {
  state.voxel = voxel;
  remember("step");
  mark();
  try {
    await (group.active ? subject && group.card(voxel, subject, card) : card.show(voxel, state.model));
    find("trouble", HTMLElement).hidden = true;
  } catch (error) {
    report(error);
  }
}

/** Regions as switches: they limit the list and dim the rest of the map. */
function listRegions() {
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
  repaint();
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
  labels = null;
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
  await look(state.concept);
  if (state.voxel !== null && !group.active) await openVoxel(state.voxel);
  await loadLabels();
}

/** First labels of what is shown; where another model was chosen meanwhile, they are not kept. */
async function fetchLabels() {
  const { model, all } = state;
  const found = await topLabels(state);
  if (state.model === model && state.all === all) labels = found;
  return found;
}

/** First labels are fetched after the first paint: only the region's panel and the label colours need them. */
async function loadLabels() {
  if (!subject || group.active) return;
  try {
    await fetchLabels();
    refocus();
  } catch (error) {
    report(error);
  }
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
    { state, shown: () => shown, subject: () => subject, labels: () => labels, focus: () => focus, viewport, solid: () => (state.view === "3d" ? solid.picture() : null), several: () => compare.figure(), beside: () => compare.columns(), view },
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
  await look(state.concept);
  await loadLabels();
}

async function start() {
  connect();
  search.show(state.concept);
  showOptions();
  try {
    models = modelsOf(await ask(MODELS));
    listModels();
    await look(state.concept);
    setView(state.view);
    if (subject && state.voxel !== null && !group.active) await openVoxel(state.voxel);
    await loadLabels();
  } catch (error) {
    report(error);
  }
  follow(() => refresh().catch(report), report);
}

start();
