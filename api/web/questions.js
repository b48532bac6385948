// What the page asks in GraphQL, and the concepts that it offers. `voxel-atlas publish` reads this file, too, and keeps
// the answers: every constant is written out.
// @ts-check

/** Concepts that a person is offered. */
export const EXAMPLES = ["cake", "face", "kitchen", "people", "text", "food - people"];

export const MODELS = `query Models {
  models { modelId subjectId backbone simulated nVoxels nSignificant finished }
  runs(first: 100) { modelId recordedAt }
}`;

export const SUGGEST = `query Suggest($search: String!, $model: String) {
  labels(search: $search, model: $model, first: 8) { edges { node { text nVoxels } } }
}`;

export const TOP = `query Top($concept: String, $image: String, $model: String, $rois: [String!], $among: [Int!], $by: By!, $readout: Readout, $baseline: Baseline!, $minZ: Float, $maxQ: Float, $specific: Boolean!, $semantic: Boolean!) {
  similarVoxels(concept: $concept, image: $image, model: $model, rois: $rois, among: $among, by: $by, readout: $readout, baseline: $baseline, minZ: $minZ, maxQ: $maxQ, specific: $specific, semantic: $semantic, first: 20) {
    totalCount hiddenCount heldTo by readout baseline simulated
    edges { node { voxel similarity z conceptQ specific percentile semantic rois r2 labels(first: 3) { text probability } } }
  }
}`;

export const CARD = `query Card($index: Int!, $model: String) {
  voxel(index: $index, model: $model) {
    voxel modelId subjectId simulated rois r2 r q significant semanticR semanticQ semantic semanticUnknown noiseCeiling r2OfCeiling i j k hemisphere vertex xMm yMm zMm
    rankings(first: 8) { scorer labels { text probability rank stability verified nImages auc labelQ } }
    topImages(first: 10) { rank stimulusId box response seen measured caption url }
    neighbours(first: 6) { voxel similarity rois labels(first: 1) { text } }
  }
}`;
