// The explorer: a concept is typed, the cortex is painted, voxels are listed and opened.
// @ts-check
import { Card } from "./card.js";
import { figure, find, make, say } from "./dom.js";
import { Flatmap } from "./flatmap.js";
import { Search } from "./search.js";
import { ServerError, ask, getArrays, subscribe } from "./server.js";
import { address, readState } from "./state.js";

const EXAMPLES = ["cake", "face", "kitchen", "people", "text", "food - people"];
const MODELS = `{ models { modelId subjectId backbone simulated nVoxels nSignificant finished } }`;
const TOP = `query Top($concept: String!, $model: String, $rois: [String!]) {
  similarVoxels(concept: $concept, model: $model, rois: $rois, first: 20) {
    totalCount by readout simulated
    edges { node { voxel similarity rois r2 labels(first: 3) { text } } }
  }
}`;
const PROGRESS = `subscription { ingestProgress { generation running stages { stage batches } } }`;

const state = readState();
/** @type {{modelId: string, subjectId: string, backbone: string, simulated: boolean, nVoxels: number, nSignificant: number}[]} */
let models = [];
/** @type {AbortController | null} */
let pending = null;
let loadedSubject = "";

const flatmap = new Flatmap((voxel) => openVoxel(voxel));
const card = new Card((voxel) => openVoxel(voxel), () => {
  state.voxel = null;
  flatmap.choose(null);
  remember();
});
const search = new Search((concept) => look(concept), () => state.model);

/** @param {string} [how] */
function remember(how) {
  const url = address(state);
  if (how === "step" && url !== location.pathname + location.search) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}

/** @param {unknown} error */
function report(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  const trouble = find("trouble", HTMLElement);
  trouble.textContent = error instanceof ServerError ? error.message : "Something failed in this page; reload it.";
  trouble.hidden = false;
  if (!(error instanceof ServerError)) console.error(error);
}

/**
 * Shows a concept on the cortex and in the list.
 * @param {string} concept
 */
async function look(concept) {
  state.concept = concept;
  remember();
  pending?.abort();
  if (!concept) {
    clear();
    return;
  }
  pending = new AbortController();
  const { signal } = pending;
  document.body.classList.add("busy");
  try {
    await Promise.all([paint(concept, signal), list(concept, signal)]);
    find("trouble", HTMLElement).hidden = true;
  } catch (error) {
    report(error);
  } finally {
    if (!signal.aborted) document.body.classList.remove("busy");
  }
}

/** Nothing was asked: the map shows how well voxels are predicted. */
async function clear() {
  find("trouble", HTMLElement).hidden = true;
  find("top", HTMLTableElement).tBodies[0].replaceChildren();
  find("top-note", HTMLElement).textContent = "Type a concept to rank the voxels by their similarity to it.";
  pending = new AbortController();
  try {
    await show(`/values?${new URLSearchParams({ metric: "r2", ...(state.model && { model: state.model }) })}`, pending.signal);
    find("figure-title", HTMLElement).textContent = "How well each voxel is predicted";
  } catch (error) {
    report(error);
  }
}

/**
 * @param {string} path
 * @param {AbortSignal} signal
 */
async function show(path, signal) {
  const { header, arrays } = await getArrays(path, signal);
  if (header.subject !== loadedSubject) {
    await flatmap.load(header.subject);
    loadedSubject = header.subject;
    listRegions();
  }
  if (signal.aborted) return;
  flatmap.paint({ values: arrays.value, colours: arrays.colour, lo: header.lo, hi: header.hi, title: header.title, unit: header.unit });
  legend(header, arrays.colour);
  find("simulated", HTMLElement).hidden = !header.simulated;
  performance.mark("painted");
}

/**
 * @param {string} concept
 * @param {AbortSignal} signal
 */
async function paint(concept, signal) {
  await show(`/values?${new URLSearchParams({ concept, ...(state.model && { model: state.model }) })}`, signal);
  find("figure-title", HTMLElement).textContent = `Similarity to “${concept}”`;
}

/**
 * The colour bar: the same colours and range as in the map.
 * @param {any} header
 * @param {Uint8Array} colours
 */
function legend(header, colours) {
  const ramp = find("ramp", HTMLCanvasElement);
  const context = /** @type {CanvasRenderingContext2D} */ (ramp.getContext("2d"));
  const image = context.createImageData(256, 1);
  for (let step = 0; step < 256; step++) image.data.set([colours[step * 3], colours[step * 3 + 1], colours[step * 3 + 2], 255], step * 4);
  context.putImageData(image, 0, 0);
  const decimals = header.hi - header.lo < 0.1 ? 3 : 2;
  find("lo", HTMLElement).textContent = figure(header.lo, decimals);
  find("middle", HTMLElement).textContent = figure((header.lo + header.hi) / 2, decimals);
  find("hi", HTMLElement).textContent = figure(header.hi, decimals);
  find("quantity", HTMLElement).textContent = `${header.unit}${header.readout ? ` (${header.readout})` : ""} · ${header.model}`;
  ramp.setAttribute("aria-label", `Colour bar: ${header.unit} from ${figure(header.lo, decimals)} to ${figure(header.hi, decimals)}`);
  find("legend", HTMLElement).hidden = false;
}

/**
 * @param {string} concept
 * @param {AbortSignal} signal
 */
async function list(concept, signal) {
  const data = await ask(TOP, { concept, model: state.model || null, rois: state.rois.length ? state.rois : null }, signal);
  const { edges, totalCount } = data.similarVoxels;
  const body = find("top", HTMLTableElement).tBodies[0];
  body.replaceChildren(...edges.map((/** @type {any} */ { node }) => row(node)));
  markRow();
  const within = state.rois.length ? ` in ${state.rois.join(", ")}` : "";
  find("top-note", HTMLElement).textContent = edges.length
    ? `The ${edges.length} first of ${totalCount.toLocaleString("en")} significant voxels${within}.`
    : `No significant voxel${within}.`;
  say(edges.length ? `${concept}: ${totalCount} voxels ranked, voxel ${edges[0].node.voxel} first` : `${concept}: no voxel`);
}

/** @param {any} node */
function row(node) {
  const open = () => openVoxel(node.voxel);
  return make(
    "tr",
    { "data-voxel": node.voxel, click: open },
    make("th", { scope: "row" }, make("button", { type: "button", class: "link", click: (event) => { event.stopPropagation(); open(); } }, node.voxel)),
    make("td", {}, node.rois.join(", ")),
    make("td", { class: "words" }, node.labels.map((/** @type {any} */ label) => label.text).join(", ")),
    make("td", { class: "number" }, figure(node.similarity, 3)),
    make("td", { class: "number" }, figure(node.r2)),
  );
}

function markRow() {
  for (const line of find("top", HTMLTableElement).tBodies[0].rows) line.classList.toggle("chosen", line.dataset.voxel === String(state.voxel));
}

/** @param {number} voxel */
async function openVoxel(voxel) {
  state.voxel = voxel;
  remember("step");
  flatmap.choose(voxel);
  markRow();
  try {
    await card.show(voxel, state.model);
    find("trouble", HTMLElement).hidden = true;
  } catch (error) {
    report(error);
  }
}

/** Regions as switches: they limit the list and dim the rest of the map. */
function listRegions() {
  const place = find("rois", HTMLElement);
  const known = new Set(flatmap.regions.map((region) => region.name));
  state.rois = state.rois.filter((name) => known.has(name));
  place.replaceChildren(
    ...flatmap.regions.filter((region) => region.voxels.length).map((region) => {
      const input = make("input", { type: "checkbox", value: region.name, checked: state.rois.includes(region.name) });
      input.addEventListener("change", () => {
        state.rois = [...place.querySelectorAll("input:checked")].map((one) => /** @type {HTMLInputElement} */ (one).value);
        focusRegions();
        look(state.concept);
      });
      return make("label", { title: region.description }, input, make("span", {}, region.name));
    }),
  );
  focusRegions();
}

function focusRegions() {
  const chosen = flatmap.regions.filter((region) => state.rois.includes(region.name));
  flatmap.focusOn(chosen.length ? chosen.flatMap((region) => region.voxels) : null);
}

function listModels() {
  const chooser = find("model", HTMLSelectElement);
  chooser.replaceChildren(...models.map((model) => make("option", { value: model.modelId }, `${model.modelId}`)));
  if (!models.some((model) => model.modelId === state.model)) state.model = models[0]?.modelId ?? "";
  chooser.value = state.model;
  chooser.addEventListener("change", () => {
    state.model = chooser.value;
    state.voxel = null;
    card.hide();
    flatmap.choose(null);
    look(state.concept);
  });
}

function examples() {
  find("examples", HTMLElement).append(
    ...EXAMPLES.map((concept) => make("button", { type: "button", class: "chip", click: () => { search.show(concept); look(concept); } }, concept)),
  );
}

function follow() {
  const badge = find("growing", HTMLElement);
  let seen = -1;
  subscribe(PROGRESS, ({ ingestProgress }) => {
    const stage = ingestProgress.stages.at(-1);
    badge.hidden = !ingestProgress.running.length;
    badge.textContent = stage ? `ingest running: ${stage.stage}, ${stage.batches} batches` : "ingest running";
    if (seen >= 0 && ingestProgress.generation !== seen && !models.length) location.reload();
    seen = ingestProgress.generation;
  });
}

async function start() {
  examples();
  search.show(state.concept);
  try {
    ({ models } = await ask(MODELS));
    if (!models.length) {
      find("trouble", HTMLElement).textContent = "This atlas has no model yet; run `voxel-atlas ingest`, and this page will fill.";
      find("trouble", HTMLElement).hidden = false;
    } else {
      listModels();
      await look(state.concept);
      if (state.voxel !== null) await openVoxel(state.voxel);
    }
  } catch (error) {
    report(error);
  }
  addEventListener("popstate", () => location.reload());
  follow();
}

start();
