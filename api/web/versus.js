// The menu that puts other maps beside the first one.
// @ts-check
import { find, make } from "./dom.js";
import { modelName } from "./models.js";
import { MOST_PANELS } from "./state.js";

/**
 * @param {import("./state.js").State} state
 * @param {() => import("./models.js").Model[]} models
 * @param {() => void} changed another map is wanted
 * @returns {() => void} brings the menu to the state
 */
export function connectVersus(state, models, changed) {
  const menu = find("versus", HTMLDetailsElement);
  const concept = find("versus-concept", HTMLInputElement);
  const model = find("versus-model", HTMLSelectElement);
  const readout = find("versus-readout", HTMLSelectElement);
  const add = (/** @type {import("./state.js").Other["kind"]} */ kind, /** @type {string} */ value) => {
    if (!value) return;
    state.with.push({ kind, value });
    state.lasso = [];
    state.prefers = "";
    if (kind !== "model" && !["", "z"].includes(state.metric)) state.metric = "";
    // Similarities in the spaces of two networks, or to two readouts, are not of one kind; their z are.
    const backbone = (/** @type {string} */ id) => models().find(({ modelId }) => modelId === id)?.backbone;
    if (state.metric === "" && state.concept && (kind === "readout" ? value !== "labels" : kind === "model" && backbone(value) !== backbone(state.model))) state.metric = "z";
    menu.open = false;
    changed();
  };
  find("versus-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    add("concept", concept.value.trim());
    concept.value = "";
  });
  model.addEventListener("change", () => add("model", model.value));
  readout.addEventListener("change", () => add("readout", readout.value));
  find("versus-none", HTMLButtonElement).addEventListener("click", () => {
    state.with = [];
    menu.open = false;
    changed();
  });
  return () => {
    const others = models().filter(({ modelId }) => modelId !== state.model);
    const none = others.length ? "choose …" : "this atlas has no other";
    model.replaceChildren(make("option", { value: "" }, none), ...others.map((one) => make("option", { value: one.modelId }, modelName(one))));
    readout.value = "";
    const full = state.with.length >= MOST_PANELS - 1;
    model.disabled = full;
    for (const control of [concept, readout]) control.disabled = full || !state.concept;
    const lacking = state.concept ? "" : "Search a concept first: another one, or another readout of it, stands beside it.";
    find("versus-note", HTMLElement).textContent = state.with.length > MOST_PANELS - 1 ? `${state.with.length + 1} maps are asked for; the first ${MOST_PANELS} are shown, as more could not be told apart.` : full ? `${MOST_PANELS} maps are as many as can be told apart; take one away first.` : lacking;
    find("versus-none", HTMLButtonElement).hidden = !state.with.length;
  };
}
