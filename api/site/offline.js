// Answers the page's requests from scripts beside it, in place of a server. Runs before the page.
// @ts-check
"use strict";
(() => {
  const site = { index: /** @type {any} */ (null), parts: /** @type {Record<string, string>} */ ({}) };
  /** @type {any} */ (window).SITE = { start: (/** @type {any} */ index) => (site.index = index), put: (/** @type {string} */ name, /** @type {string} */ text) => (site.parts[name] = text) };
  const REFUSED = "This copy of the explorer answers as it was first set, for its own concepts: clear the options and the selection, or ask a server.";
  const NO_NETWORK = "This copy of the explorer has no network to show a picture to; ask a server.";

  /** @param {string} name a script of data @returns {Promise<void>} */
  const load = (name) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onload = () => resolve();
      script.onerror = () => reject(new Error(name));
      document.head.append(script);
    });

  /** @param {string} name @returns {Promise<ArrayBuffer>} what a script holds */
  async function part(name) {
    if (!(name in site.parts)) await load(name);
    const bytes = Uint8Array.from(atob(site.parts[name]), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  }
  const json = async (/** @type {string} */ name) => JSON.parse(new TextDecoder().decode(await part(name)));
  const refuse = (sentence = REFUSED) => new Response(JSON.stringify({ errors: [{ message: sentence, extensions: { code: "NOT_IN_COPY" } }] }), { status: 404 });
  const data = (/** @type {any} */ value) => new Response(JSON.stringify({ data: value }));
  // What a table has of a concept as a person writes it; every object has a "constructor" that is none.
  const ofConcept = (/** @type {Record<string, string>} */ table, /** @type {string} */ concept) => {
    const word = concept.trim().toLowerCase();
    return Object.hasOwn(table, word) ? table[word] : undefined;
  };

  /** Packed arrays, as api/maps/packed_arrays.py has them. */
  function pack(/** @type {any} */ header, /** @type {Record<string, Float32Array | Uint8Array>} */ arrays) {
    const described = Object.entries(arrays).map(([name, array]) => ({ name, dtype: array instanceof Uint8Array ? "uint8" : "float32", length: array.length }));
    const text = new TextEncoder().encode(JSON.stringify({ ...header, arrays: described }));
    const head = new Uint8Array(4 + Math.ceil(text.length / 4) * 4).fill(32);
    head.set(text, 4);
    new DataView(head.buffer).setUint32(0, head.length - 4, true);
    const parts = Object.values(arrays).flatMap((array) => [array, new Uint8Array(-array.byteLength & 3)]);
    return new Response(new Blob([head, .../** @type {any[]} */ (parts)]));
  }

  /** @param {ArrayBuffer} buffer what `pack` made */
  function unpack(buffer) {
    let at = 4 + new DataView(buffer).getUint32(0, true);
    const { arrays: described, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, at - 4)));
    /** @type {any} */
    const arrays = {};
    for (const { name, dtype, length } of described) {
      const array = dtype === "uint8" ? new Uint8Array(buffer, at, length) : new Float32Array(buffer, at, length);
      arrays[name] = array;
      at += Math.ceil(array.byteLength / 4) * 4;
    }
    return { header, arrays };
  }

  /** @param {URLSearchParams} asked of /values */
  async function values(asked) {
    const given = Object.fromEntries(asked);
    const { concept, metric = "", band, evidence, model = site.index.models[0], ...others } = given;
    const known = site.index.of[model];
    if (!known || Object.keys(others).length || (concept !== undefined && !["", "z"].includes(metric))) return refuse();
    if (concept === undefined) return known.metrics[metric] ? new Response(await part(known.metrics[metric])) : refuse();
    const name = ofConcept(known.concepts, concept);
    if (!name) return refuse(`This copy of the explorer knows ${Object.keys(known.concepts).length.toLocaleString("en")} concepts, the labels of its voxels and the nouns of its vocabulary, and “${concept}” is none of them.`);
    const { header: { of_z: ofZ, ...header }, arrays: { value, inside, colour, ...held } } = unpack(await part(`${name}v`));
    const shown = metric === "z" ? held.z.map((/** @type {number} */ z, /** @type {number} */ voxel) => (Number.isNaN(value[voxel]) ? NaN : z)) : value;
    return pack(metric === "z" ? { ...header, ...ofZ } : header, { value: shown, colour, ...(band === "1" && inside && { inside }), ...(evidence === "1" && held) });
  }

  /** @param {URLSearchParams} asked of /group */
  async function together(asked) {
    const { concept, show = "mean", group_q: most, ...others } = Object.fromEntries(asked);
    const { concepts, why } = site.index.together;
    if (why) return refuse(why);
    const name = ofConcept(concepts, concept);
    if (Object.keys(others).length) return refuse();
    if (!name) return refuse(`This copy of the explorer has all subjects together for ${Object.keys(concepts).join(", ")}; “${concept}” is none of them.`);
    const { header: { shows, ...header }, arrays } = unpack(await part(name));
    const { mean, t, q, n, agree, similarities, colour_of_subjects } = arrays;
    const all = /** @type {Record<string, Float32Array>} */ ({ mean, t, q, agree: agree.map((/** @type {number} */ count, /** @type {number} */ at) => (Number.isNaN(mean[at]) ? NaN : count)) });
    const value = most === undefined ? all[show] : all[show].map((one, at) => (q[at] <= Number(most) ? one : NaN));
    const held = most === undefined ? "" : `q over subjects ≤ ${Number(most)}`;
    return pack({ ...header, ...shows[show], held_to: held }, { value, mean, t, q, n, agree, similarities, colour: arrays[`colour_${show}`], colour_of_subjects });
  }

  /** @param {string} query @param {any} given its variables */
  async function graphql(query, given) {
    const model = given.model || site.index.models[0];
    const known = site.index.of[model];
    const [, name] = query.match(/^query (\w+)/) ?? [];
    if (name === "Models") return data(site.index.answer);
    if (given.image) return refuse(NO_NETWORK);
    if (!known) return refuse();
    if (name === "Suggest") {
      const found = known.labels.filter((/** @type {any} */ label) => label.text.includes(given.search.toLowerCase())).slice(0, 8);
      return data({ labels: { edges: found.map((/** @type {any} */ node) => ({ node })) } });
    }
    if (name === "Card") {
      const cards = await json(`${known.cards}-${Math.floor(given.index / site.index.cards)}`);
      return cards[given.index] ? data(cards[given.index]) : refuse(`Model ${model} has no fitted voxel ${given.index}.`);
    }
    if (name === "Top") {
      const script = ofConcept(known.concepts, given.concept);
      const { concept: _, model: __, ...others } = given;
      return script && Object.entries(others).every(([key, value]) => site.index.variables[key] === value) ? data(await json(`${script}t`)) : refuse();
    }
    return refuse();
  }

  const outside = window.fetch;
  window.fetch = async (input, options) => {
    if (typeof input !== "string" || /^[a-z]+:/i.test(input)) return outside(input, options);
    const [path, query = ""] = input.split("?");
    if (path === "graphql") {
      const asked = JSON.parse(String(options?.body));
      return graphql(asked.query, asked.variables);
    }
    if (options?.method === "POST") return refuse(NO_NETWORK);
    if (path === "group") return together(new URLSearchParams(query));
    if (path === "values") return values(new URLSearchParams(query));
    const model = new URLSearchParams(query).get("model") || site.index.models[0];
    const name = path === "toplabels" || path === "labelcolours" ? (query.includes("semantic=0") ? "" : site.index.of[model]?.[path]) : site.index.files[path];
    return name ? new Response(await part(name)) : refuse();
  };

  // A page of a folder may not change its address.
  for (const name of /** @type {const} */ (["pushState", "replaceState"])) {
    const change = history[name].bind(history);
    history[name] = (...given) => {
      try {
        change(...given);
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
      }
    };
  }
})();
