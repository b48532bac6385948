// The commands and programs that give what a map of all subjects shows, by every door.
// @ts-check
import { flags, keywords, quoted, shared, shell } from "./code.js";
import { over } from "./group.js";

/**
 * @param {import("./state.js").State} state
 * @param {import("./group.js").Found} found
 * @returns {import("./code.js").Snippet[]}
 */
export function groupSnippets(state, { header, shown }) {
  // By their ids: a model that comes later changes who is in the group, and not what this code gives.
  const models = header.subjects.map((/** @type {import("./group.js").Member} */ { model_id: model }) => model);
  const { concept, smooth, groupq } = state;
  const [lo, hi] = [shown.scale?.lo ?? 0, shown.scale?.hi ?? 1];
  const words = [shell(concept), ...models.map(shell), ...flags(state), ...(state.significant ? ["--significant"] : []), ...(smooth ? [`--smooth ${smooth}`] : []), `--show ${over(state)}`, ...(groupq === null ? [] : [`--group-q ${groupq}`]), `--range ${lo} ${hi}`];
  const named = [quoted(concept), ...models.map(quoted), ...keywords(state), ...(smooth ? [`smooth=${smooth}`] : []), `show=${quoted(over(state))}`, ...(groupq === null ? [] : [`group_q=${groupq}`]), `limits=(${lo}, ${hi})`];
  return [
    { title: "Command line", text: `voxel-atlas group ${words.join(" ")} -o map.png --vertices vertices.csv` },
    {
      title: "Python",
      text: `import voxel_atlas as va

with va.open() as opened:
    found = opened.group(${named.join(", ")})
    values = found.values  # one for each vertex, the right hemisphere's after the left's; NaN where none is shown
    vertices = found.frame  # mean, t, p, q, n_agree
    found.plot().save("map.png")`,
    },
    { title: "GraphQL", text: `{\n  groupMap(${groupArguments(state, models, shown).join(", ")}) {\n    url unit lo hi mesh nVertices nSignificant leaveOneOutR subjects { subjectId leaveOneOutR }\n    regions { roi nSubjects mean low high t q }\n    vertices(first: 100) { number hemisphere vertex nSubjects mean t p q nAgree similarities }\n  }\n}` },
    { title: "SQL (voxel-atlas sql)", text: "-- SQL has no surface on which subjects meet; the other doors give what is shown here." },
  ];
}

/**
 * Arguments of GraphQL's groupMap, which draw what is shown.
 * @param {import("./state.js").State} state
 * @param {string[]} models
 * @param {import("./shown.js").Shown | null} shown
 */
export function groupArguments(state, models, shown) {
  return [
    ...shared({ ...state, model: "" }),
    ...(models.length ? [`models: ${JSON.stringify(models)}`] : []),
    ...(state.significant ? ["significant: true"] : []),
    ...(state.smooth ? [`smooth: ${state.smooth}`] : []),
    `show: ${over(state).toUpperCase()}`,
    ...(state.groupq === null ? [] : [`groupQ: ${state.groupq}`]),
    ...(shown?.scale ? [`range: [${shown.scale.lo}, ${shown.scale.hi}]`] : []),
  ];
}
