// What the page shows, kept in its address: a copied address shows the same.
// @ts-check

/**
 * @typedef {object} State
 * @property {string} concept
 * @property {string} metric a quantity shown instead of a concept
 * @property {string} model
 * @property {number | null} voxel the voxel whose card is open
 * @property {string[]} rois regions that the list of voxels is limited to
 * @property {string} view flat or 3d
 */

/** @returns {State} */
export function readState() {
  const given = new URLSearchParams(location.search);
  const voxel = Number.parseInt(given.get("voxel") ?? "", 10);
  return {
    concept: (given.get("concept") ?? "").slice(0, 200),
    metric: given.get("metric") ?? "",
    model: given.get("model") ?? "",
    voxel: Number.isInteger(voxel) && voxel >= 0 ? voxel : null,
    rois: given.getAll("roi"),
    view: given.get("view") === "3d" ? "3d" : "flat",
  };
}

/**
 * @param {State} state
 * @returns {string} the address that shows this state
 */
export function address(state) {
  const parts = new URLSearchParams();
  if (state.concept) parts.set("concept", state.concept);
  else if (state.metric) parts.set("metric", state.metric);
  if (state.model) parts.set("model", state.model);
  if (state.voxel !== null) parts.set("voxel", String(state.voxel));
  for (const roi of state.rois) parts.append("roi", roi);
  if (state.view !== "flat") parts.set("view", state.view);
  const text = parts.toString();
  return text ? `/?${text}` : "/";
}
