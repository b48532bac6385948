// Files of what is shown: pictures, the numbers, and the questions that gave them.
// @ts-check
import { conditions, literal, mapArguments } from "./code.js";
import { find, say } from "./dom.js";
import { groupArguments } from "./groupcode.js";
import { Evidence } from "./evidence.js";
import { compose, dotsPart, flatPart, solidPart } from "./figure.js";
import { cell, save } from "./files.js";
import { pdf, raster, svg } from "./marks.js";
import { PICTURE } from "./picture.js";
import { TOP } from "./questions.js";
import { variables } from "./ranking.js";
import { Trouble } from "./server.js";
import { limits, metricOf, ofConcept } from "./shown.js";
import { ALL } from "./state.js";

/**
 * @typedef {object} Sources
 * @property {import("./state.js").State} state
 * @property {() => import("./shown.js").Shown | null} shown
 * @property {() => import("./subject.js").Subject | null} subject
 * @property {() => import("./shown.js").TopLabels | null} labels
 * @property {() => Set<number> | null} focus
 * @property {import("./viewport.js").Viewport} viewport
 * @property {() => ReturnType<import("./solid.js").Solid["picture"]> | null} solid the 3-D view, while it is seen
 * @property {() => ReturnType<import("./compare.js").Compare["figure"]>} several the maps that stand side by side; null for one
 * @property {() => Record<string, Float32Array>} beside what a table has of the maps beside the first
 * @property {() => string} view what is seen of them, for the names of files; "" for the first view
 */

const WIDTH = 2048;

/**
 * @param {Sources} sources
 * @param {(error: unknown) => void} report
 */
export function connectDownloads(sources, report) {
  const menu = find("download", HTMLDetailsElement);
  /** @type {Record<string, () => Promise<Blob> | Blob>} */
  const makers = {
    png: async () => raster(await figureOf(sources)),
    svg: async () => new Blob([svg(await figureOf(sources))], { type: "image/svg+xml" }),
    pdf: async () => pdf(await figureOf(sources)),
    csv: async () => new Blob([await csv(sources)], { type: "text/csv" }),
    graphql: () => new Blob([graphql(sources)], { type: "application/graphql" }),
    sql: () => new Blob([sql(sources)], { type: "application/sql" }),
  };
  for (const [suffix, make] of Object.entries(makers))
    find(`download-${suffix}`, HTMLButtonElement).addEventListener("click", async () => {
      menu.open = false;
      try {
        const view = ["png", "svg", "pdf"].includes(suffix) ? sources.view() : "";
        save(await make(), `${fileName(sources, suffix)} ${view}`, suffix);
        say(`${suffix} file made`);
      } catch (error) {
        report(error);
      }
    });
}

/**
 * The query behind the picture, in the range that the page shows, and its variables.
 * @param {Sources} sources
 * @param {string} format
 */
function pictureQuery({ state, shown, focus }, format) {
  const chosen = focus();
  // A brushed region has more voxels than a query may have words: they go beside it.
  const image = shown()?.picture?.data;
  const head = chosen || image ? `query Picture(${[...(chosen ? ["$focus: [Int!]"] : []), ...(image ? ["$image: String"] : [])].join(", ")}) ` : "query Picture ";
  const given = { ...(chosen && { focus: [...chosen].sort((a, b) => a - b) }), ...(image && { image }) };
  const how = [...(chosen ? ["focus: $focus"] : []), ...(state.voxel === null || state.model === ALL ? [] : [`mark: ${state.voxel}`]), `width: ${WIDTH}`, `format: ${format}`];
  if (state.model === ALL) return { text: `${head}{ groupMap(${[...groupArguments(state, [], shown()), ...how].join(", ")}) { url unit lo hi simulated } }`, given };
  if (metricOf(state) !== "labels") return { text: `${head}{ flatmap(${[...mapArguments(state, shown()), ...how].join(", ")}) { url title unit lo hi simulated } }`, given };
  const what = [`model: ${JSON.stringify(state.model)}`, ...(state.all ? ["semantic: false"] : [])];
  return { text: `${head}{ labelColours(${[...what, ...how].join(", ")}) { url trustworthiness legend { text colour nVoxels } } }`, given };
}

/**
 * All that is seen, as one figure.
 * @param {Sources} sources
 */
async function figureOf(sources) {
  const { viewport, state } = sources;
  const [several, subject, shown] = [sources.several(), sources.subject(), sources.shown()];
  if (!subject || !shown) throw new Trouble("Nothing is shown yet, so there is no figure of it.", "NOTHING_SHOWN");
  const title = find("figure-title", HTMLElement).textContent ?? "";
  const { maps, dots, said } = several ?? { maps: [{ title, subject, shown, focus: sources.focus(), same: true }], dots: null, said: [] };
  const parts = await Promise.all(
    maps.map(async (map, at) => {
      // The first of them is the one that is turned in 3-D.
      const solid = at === 0 ? await sources.solid() : null;
      if (solid) return solidPart(map.title, solid, map.shown);
      const pixels = await map.subject.fine();
      return pixels ? flatPart(map.title, { ...map, pixels, chosen: map.same ? state.voxel : null, part: viewport.part }) : null;
    }),
  );
  const drawn = parts.flatMap((part) => (part ? [part] : []));
  if (dots) drawn.push(dotsPart("One against the other, a dot for each voxel", dots.canvas, dots.key));
  return compose(drawn, said);
}

/**
 * One line per voxel that has a colour; of a concept with z, q and whether it is specific.
 * @param {Sources} sources
 */
async function csv({ state, shown, subject, labels, focus, beside }) {
  const map = shown();
  if (!map) return "";
  const chosen = focus();
  const { columns } = map;
  const sure = columns ? null : await new Evidence().of(state);
  const more = Object.entries({ ...columns, ...beside() });
  const mm = (await subject()?.locate()) ?? [];
  const number = (/** @type {number} */ value) => (Number.isNaN(value) ? "" : value);
  const lines = [`voxel,value,${[...more.map(([name]) => `${name},`), sure ? "z,concept_q,specific," : ""].join("")}x_mm,y_mm,z_mm,regions,first_label,selected`];
  map.colours.forEach((colour, voxel) => {
    if (!colour) return;
    const evidence = sure ? [number(sure.z[voxel]), number(sure.concept_q[voxel]), ["false", "true"][sure.specific[voxel]] ?? ""] : [];
    const place = [0, 1, 2].map((axis) => mm[3 * voxel + axis]).map((at) => (Number.isFinite(at) ? Math.round(1e4 * at) / 1e4 : ""));
    const cells = [voxel, map.values ? map.values[voxel] : "", ...more.map(([, all]) => all[voxel]).map((one) => (typeof one === "number" ? number(one) : one)), ...evidence, ...place, (subject()?.names(voxel) ?? []).join(";"), labels()?.text(voxel) ?? "", chosen ? chosen.has(voxel) : ""];
    lines.push(cells.map(cell).join(","));
  });
  return `${lines.join("\r\n")}\r\n`;
}

/** @param {Sources} sources */
function graphql(sources) {
  const { state } = sources;
  const noted = (/** @type {object} */ given) => (Object.keys(given).length ? `\n\n# Variables: ${JSON.stringify("image" in given ? { ...given, image: "the file in base64" } : given)}` : "");
  const ranked = state.concept && state.model !== ALL ? `${TOP}${noted(variables(state, sources.focus()))}\n\n` : "";
  const { text, given } = pictureQuery(sources, "PNG");
  return `${ranked}# The picture; fetch its url from the same server.\n${text}${noted(given)}\n`;
}

/** @param {Sources} sources */
function sql({ state, shown, labels }) {
  const metric = metricOf(state);
  const model = literal(state.model);
  if (state.model === ALL) return "-- SQL has no surface on which subjects meet; the GraphQL query and voxel-atlas group give what is shown here.\n";
  if (metric === PICTURE) return "-- SQL shows no picture to a network; the GraphQL query and voxel-atlas predict give what is shown here.\n";
  if (metric === "labels") return `SELECT voxel, label, probability FROM top_label JOIN voxel_quality USING (model_id, voxel) WHERE model_id = ${model} AND method = ${literal(labels()?.method ?? "")}${state.all ? "" : " AND coalesce(semantic, true)"} ORDER BY voxel;\n`;
  if (!ofConcept(state)) return `SELECT ${[...new Set(["voxel", metric, "q"])].join(", ")} FROM voxel_quality WHERE model_id = ${model}${state.significant ? " AND significant" : ""} ORDER BY voxel;\n`;
  if (["labels", "paper"].includes(state.compare)) return "-- SQL compares readouts with a concept less the mean noun only. What is shown here, the GraphQL query and voxel-atlas query give.\n";
  const limit = limits(state);
  const held = [...(limit ? conditions(limit) : []), ...(state.rois.length ? [`list_has_any(rois, [${state.rois.map(literal).join(", ")}])`] : [])];
  const question = `FROM voxels_like(concept(${literal(state.concept)}), model := ${model}, readout := ${literal(shown()?.readout ?? "")}${state.all ? ", all_voxels := true" : ""})${held.length ? ` WHERE ${held.join(" AND ")}` : ""}`;
  return `-- For voxel-atlas sql and Python; a shell that is attached: FROM quack_query_by_name('atlas', '…')\n${question};\n`;
}

/**
 * @param {Sources} sources
 * @param {string} suffix
 */
function fileName({ state, shown, several }, suffix) {
  // The questions are those of the first map.
  const beside = several() && !["graphql", "sql"].includes(suffix) ? state.with.map(({ value }) => `against ${value}`) : [];
  const what = [state.model === ALL ? state.over : "", metricOf(state), ...(ofConcept(state) ? [state.concept, state.compare] : []), ...beside, shown()?.heldTo].filter(Boolean).join(" ");
  return `${state.model} ${what}`;
}
