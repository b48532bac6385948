// The commands and programs that give what the map shows, by every door.
// @ts-check
import { find, make, say } from "./dom.js";
import { asked, limits } from "./shown.js";

const COPIED_MS = 1500;

/**
 * @typedef {{title: string, text: string}} Snippet
 * @typedef {object} Asked what is asked of each door
 * @property {string} concept empty where none is shown
 * @property {string} metric empty for a concept's similarity
 * @property {string} by
 * @property {string} readout empty for the model's own
 * @property {string} baseline
 * @property {{minZ: number | null, maxQ: number | null, specific: boolean}} held
 */

/**
 * @param {import("./state.js").State} state
 * @returns {Asked}
 */
function askedOf(state) {
  const { concept = "", metric = "", by = "", readout = "", baseline = "" } = asked(state);
  return { concept, metric, by, readout, baseline, held: limits(state) ?? { minZ: null, maxQ: null, specific: false } };
}

/**
 * @param {import("./state.js").State} state one whose map is no map of labels
 * @param {import("./shown.js").Shown} shown
 * @param {string} [remark] what the code does not give of what is shown
 * @returns {Snippet[]}
 */
export function snippets(state, shown, remark = "") {
  const of = askedOf(state);
  const noted = (/** @type {string} */ text, mark = "#") => (remark ? `${mark} ${remark}\n${text}` : text);
  return [
    { title: "Command line", text: noted(cli(state, shown, of)) },
    { title: "Python", text: noted(python(state, shown, of)) },
    { title: "SQL (voxel-atlas sql)", text: noted(sql(state, shown, of), "--") },
    { title: "GraphQL", text: noted(graphql(state, shown)) },
  ];
}

/**
 * How a concept is compared and what it is held to, in the words of the command line.
 * @param {import("./state.js").State} state
 */
export function flags(state) {
  const { concept, by, readout, baseline, held } = askedOf(state);
  return [
    ...(by ? [`--by ${by}`] : []),
    ...(readout ? [`--readout ${readout}`] : []),
    ...(baseline ? [`--baseline ${baseline}`] : []),
    ...(held.minZ === null ? [] : [`--min-z ${held.minZ}`]),
    ...(held.maxQ === null ? [] : [`--max-q ${held.maxQ}`]),
    ...(held.specific ? ["--specific"] : []),
    ...(state.all && concept ? ["--all-voxels"] : []),
  ];
}

/**
 * The same as arguments of Python's methods.
 * @param {import("./state.js").State} state
 */
export function keywords(state) {
  const { concept, by, readout, baseline, held } = askedOf(state);
  return [
    ...(by ? [`by=${quoted(by)}`] : []),
    ...(readout ? [`readout=${quoted(readout)}`] : []),
    ...(baseline ? [`baseline=${quoted(baseline)}`] : []),
    ...(held.minZ === null ? [] : [`min_z=${held.minZ}`]),
    ...(held.maxQ === null ? [] : [`max_q=${held.maxQ}`]),
    ...(held.specific ? ["specific=True"] : []),
    ...(state.significant ? ["significant=True"] : []),
    ...(state.all && concept ? ["semantic=False"] : []),
  ];
}

/**
 * @param {import("./state.js").State} state
 * @param {import("./shown.js").Shown} shown
 * @param {Asked} of
 */
function cli(state, shown, of) {
  const { concept, metric } = of;
  const shared = [`--model ${shell(state.model)}`, ...flags(state)].join(" ");
  const file = shown.picture && shell(shown.picture.name);
  const what = file ? `--picture ${file}` : [...(concept ? [shell(concept)] : []), ...(metric ? [`--metric ${metric}`] : [])].join(" ");
  const range = shown.scale ? ` --range ${shown.scale.lo} ${shown.scale.hi}` : "";
  const more = [...(state.significant ? [" --significant"] : []), ...(state.opacity ? [" --opacity r2"] : []), ...(shown.band ? [" --null-band"] : [])].join("");
  const picture = `voxel-atlas flatmap ${what} ${shared}${range}${more} -o map.png`;
  const numbers = file
    ? `voxel-atlas predict ${file} ${shared} --csv > voxels.csv`
    : concept
    ? `voxel-atlas query ${shell(concept)} ${shared} ${state.significant ? "" : "--no-significant "}--first 100000 --csv > voxels.csv`
    : `voxel-atlas sql ${shell(sql(state, shown, of))} --csv > voxels.csv`;
  return `${picture}\n${numbers}`;
}

/**
 * @param {import("./state.js").State} state
 * @param {import("./shown.js").Shown} shown
 * @param {Asked} of
 */
function python(state, shown, { concept, metric }) {
  const parts = [
    ...(concept ? [quoted(concept)] : []),
    ...(shown.picture ? [`picture=${quoted(shown.picture.name)}`] : metric ? [`metric=${quoted(metric)}`] : []),
    ...keywords(state),
    ...(state.opacity ? ['opacity="r2"'] : []),
    ...(shown.scale ? [`limits=(${shown.scale.lo}, ${shown.scale.hi})`] : []),
  ];
  return `import voxel_atlas as va

with va.open() as opened:
    shown = opened.model(${quoted(state.model)}).map(${parts.join(", ")})
    values = shown.values  # one for each row of shown.frame; NaN where a voxel is bare
    shown.plot().save("map.png")`;
}

/**
 * @param {import("./state.js").State} state
 * @param {import("./shown.js").Shown} shown
 * @param {Asked} of
 */
function sql(state, shown, { concept, metric, by, baseline, held }) {
  const model = literal(state.model);
  if (shown.picture) return "-- SQL shows no picture to a network; the other doors give what is shown here.";
  if (by || baseline) return "-- SQL compares readouts with a concept less the mean noun only; the other doors give what is shown here.";
  const held_to = [
    ...conditions(held),
    ...(state.significant ? ["significant"] : []),
    ...(concept && !state.all ? ["coalesce(semantic, true)"] : []),
  ];
  const where = (/** @type {string[]} */ all) => (all.length ? ` WHERE ${all.join(" AND ")}` : "");
  if (!concept) return `SELECT voxel, ${metric} FROM voxel_quality${where([`model_id = ${model}`, ...held_to])} ORDER BY voxel`;
  return `SELECT voxel, similarity, z, concept_q, specific FROM concept_map(concept(${literal(concept)}), model := ${model}, readout := ${literal(shown.readout)}) JOIN voxel_quality USING (model_id, voxel)${where(held_to)} ORDER BY voxel`;
}

/**
 * What must hold of the voxels of a concept, as SQL says it.
 * @param {Asked["held"]} held
 */
export function conditions({ minZ, maxQ, specific }) {
  return [...(minZ === null ? [] : [`z >= ${minZ}`]), ...(maxQ === null ? [] : [`concept_q <= ${maxQ}`]), ...(specific ? ["specific"] : [])];
}

/**
 * Arguments of GraphQL's similarVoxels, which flatmap and, but for the model, groupMap have, too.
 * @param {import("./state.js").State} state
 */
export function shared(state) {
  const { concept, by, readout, baseline, held } = askedOf(state);
  return [
    ...(state.model ? [`model: ${JSON.stringify(state.model)}`] : []),
    ...(concept ? [`concept: ${JSON.stringify(concept)}`] : []),
    ...(by ? [`by: ${by.toUpperCase()}`] : []),
    ...(readout ? [`readout: ${readout.toUpperCase()}`] : []),
    ...(baseline ? [`baseline: ${baseline.toUpperCase()}`] : []),
    ...(held.minZ === null ? [] : [`minZ: ${held.minZ}`]),
    ...(held.maxQ === null ? [] : [`maxQ: ${held.maxQ}`]),
    ...(held.specific ? ["specific: true"] : []),
    ...(state.all && concept ? ["semantic: false"] : []),
  ];
}

/**
 * Arguments of GraphQL's flatmap, which draw what is shown.
 * @param {import("./state.js").State} state one whose map is no map of labels
 * @param {import("./shown.js").Shown | null} shown
 */
export function mapArguments(state, shown) {
  const { metric } = askedOf(state);
  return [
    ...shared(state),
    ...(shown?.picture ? ["image: $image"] : metric ? [`metric: ${metric.toUpperCase()}`] : []),
    ...(state.significant ? ["significant: true"] : []),
    ...(state.opacity ? ["opacity: R2"] : []),
    ...(shown?.band ? ["nullBand: true"] : []),
    ...(shown?.scale ? [`range: [${shown.scale.lo}, ${shown.scale.hi}]`] : []),
  ];
}

/**
 * @param {import("./state.js").State} state
 * @param {import("./shown.js").Shown} shown
 */
function graphql(state, shown) {
  const ranked = [...shared(state), `significant: ${state.significant}`, "first: 100"];
  if (shown.picture) ranked.unshift("image: $image");
  const voxels = askedOf(state).concept || shown.picture ? `\n  # The next page: after: the endCursor.\n  similarVoxels(${ranked.join(", ")}) {\n    totalCount pageInfo { hasNextPage endCursor } edges { node { voxel similarity z conceptQ specific } }\n  }` : "";
  const head = shown.picture ? "# $image: the file in base64.\nquery Picture($image: String) " : "";
  return `${head}{\n  flatmap(${mapArguments(state, shown).join(", ")}) { url title unit lo hi simulated }${voxels}\n}`;
}

/** Shows the code below the map, as long as it is wanted. */
export class CodePanel {
  constructor() {
    this.place = find("code", HTMLDetailsElement);
    /** @type {() => Snippet[]} */
    this.give = () => [];
    this.place.addEventListener("toggle", () => this.#fill());
  }

  /** @param {() => Snippet[]} give none where there is no code */
  set(give) {
    this.give = give;
    this.#fill();
  }

  #fill() {
    if (!this.place.open) return;
    const parts = this.give().map(({ title, text }) => {
      const copy = make("button", { type: "button", class: "chip", "aria-label": `Copy ${title}` }, "Copy");
      copy.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(text);
          copy.textContent = "Copied";
          say(`${title} copied`);
          setTimeout(() => { copy.textContent = "Copy"; }, COPIED_MS);
        } catch {
          say("The browser does not let this page copy; select the text.");
        }
      });
      return make("div", {}, make("h3", {}, title, copy), make("pre", { tabindex: 0, "aria-label": title }, text));
    });
    find("code-blocks", HTMLElement).replaceChildren(...(parts.length ? parts : [make("p", { class: "note" }, "What the colours of labels are made of, the Download menu gives as GraphQL and SQL.")]));
  }
}

/** @param {string} text a word of a POSIX shell */
export function shell(text) {
  return /^[\w./:=-]+$/.test(text) && !text.startsWith("-") ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** @param {string} text a Python string */
export function quoted(text) {
  return JSON.stringify(text);
}

/** @param {string} text an SQL string */
export function literal(text) {
  return `'${text.replaceAll("'", "''")}'`;
}
