// Models as people call them.
// @ts-check

/** @typedef {{modelId: string, subjectId: string, backbone: string, simulated: boolean, finished: boolean, date: string}} Model */

/**
 * @param {{models: Omit<Model, "date">[], runs: {modelId: string, recordedAt: string}[]}} data an answer to MODELS
 * @returns {Model[]} the newest first
 */
export function modelsOf({ models, runs }) {
  // Runs come latest first.
  return models.map((model) => ({ ...model, date: runs.find(({ modelId }) => modelId === model.modelId)?.recordedAt.slice(0, 10) ?? "" }));
}

/** @param {Model} model subject · network · date */
export function modelName({ subjectId, backbone, date, finished }) {
  return [subjectId, backbone, date, finished ? "" : "not finished"].filter(Boolean).join(" · ");
}
