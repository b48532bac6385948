// What is shown and how: quantity, comparison, opacity, significance and range.
// @ts-check
import { find, typed } from "./dom.js";
import { limits, metricOf, ofConcept } from "./shown.js";

/**
 * Connects the controls with the state.
 * @param {import("./state.js").State} state
 * @param {() => void} changed
 * @returns {() => void} brings the controls to the state
 */
export function connectOptions(state, changed) {
  const show = find("show", HTMLSelectElement);
  const compare = find("compare", HTMLSelectElement);
  const note = find("compare-note", HTMLElement);
  const minZ = find("min-z", HTMLInputElement);
  const maxQ = find("max-q", HTMLInputElement);
  const specific = find("specific", HTMLInputElement);
  const significant = find("significant", HTMLInputElement);
  const all = find("all-voxels", HTMLInputElement);
  const band = find("band", HTMLInputElement);
  const opacity = find("opacity", HTMLInputElement);
  const range = [find("range-lo", HTMLInputElement), find("range-hi", HTMLInputElement)];
  for (const input of [show, compare, minZ, maxQ, specific, significant, all, band, opacity, ...range])
    input.addEventListener("change", () => {
      if (input === show) {
        // The range of one quantity says nothing about another.
        state.lo = state.hi = null;
        state.metric = show.value;
      } else [state.lo, state.hi] = range.map(typed);
      state.compare = compare.value;
      state.minz = typed(minZ);
      state.maxq = typed(maxQ);
      state.specific = specific.checked;
      state.significant = significant.checked;
      state.all = all.checked;
      state.band = band.checked;
      state.opacity = opacity.checked;
      changed();
    });
  return () => {
    const metric = metricOf(state);
    show.value = metric;
    compare.value = state.compare;
    note.textContent = compare.selectedOptions[0].title;
    minZ.value = state.minz === null ? "" : String(state.minz);
    maxQ.value = state.maxq === null ? "" : String(state.maxq);
    specific.checked = state.specific;
    compare.disabled = !ofConcept(state);
    minZ.disabled = maxQ.disabled = specific.disabled = !limits(state);
    significant.checked = state.significant;
    all.checked = state.all;
    band.checked = state.band;
    band.disabled = !ofConcept(state);
    opacity.checked = state.opacity;
    significant.disabled = opacity.disabled = metric === "labels";
    [state.lo, state.hi].forEach((bound, at) => {
      range[at].value = bound === null ? "" : String(bound);
      range[at].disabled = metric === "labels";
    });
  };
}
