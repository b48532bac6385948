// The server as the page sees it: GraphQL, arrays of values, and progress over a socket. No other host is ever asked,
// and addresses are relative to the page's, which a proxy may offer below a path.
// @ts-check

// Bundled by build.mjs.
const GRAPHQL_WS = "./vendor/graphql-ws.js";

/** What a person is told in one sentence when something cannot be had. */
export class Trouble extends Error {
  /**
   * @param {string} message
   * @param {string} code
   */
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** Whether a request was given up, as something else is asked. @param {unknown} error */
export function isGivenUp(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (isGivenUp(error)) throw error;
    throw new Trouble("The server does not answer; is `voxel-atlas serve` still running?", "OFFLINE");
  }
}

/**
 * @param {Response} response
 * @returns {Promise<never>}
 */
export async function refused(response) {
  const answer = await response.json().catch(() => ({}));
  const error = answer.errors?.[0];
  throw new Trouble(error?.message ?? `The server answered ${response.status}.`, error?.extensions?.code ?? "FAILED");
}

/**
 * Runs a GraphQL query.
 * @param {string} query
 * @param {Record<string, unknown>} [variables]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>} its data
 */
export async function ask(query, variables = {}, signal) {
  const response = await reach("graphql", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ query, variables }),
    signal,
  });
  if (!response.ok) await refused(response);
  const answer = await response.json();
  if (answer.errors?.length) throw new Trouble(answer.errors[0].message, answer.errors[0].extensions?.code ?? "");
  return answer.data;
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function getJson(path, signal) {
  const response = await reach(path, { signal });
  if (!response.ok) await refused(response);
  return response.json();
}

/**
 * What the server gives as soon as it has worked it out; until then it says that it is busy, and how far.
 * @template T
 * @param {() => Promise<T>} get
 * @param {(sentence: string) => void} tell
 * @returns {Promise<T>}
 */
export async function patiently(get, tell) {
  for (;;) {
    try {
      return await get();
    } catch (error) {
      if (!(error instanceof Trouble) || error.code !== "BUSY") throw error;
      tell(error.message);
      await new Promise((resolve) => setTimeout(resolve, 3000));
    }
  }
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

/**
 * Reads packed arrays (api/maps/packed_arrays.py): length of the header, header, arrays.
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @param {Blob} [sent] what the answer is about
 * @returns {Promise<{header: any, arrays: Record<string, any>}>}
 */
export async function getArrays(path, signal, sent) {
  const response = await reach(path, sent ? { signal, method: "POST", body: sent } : { signal });
  if (!response.ok) await refused(response);
  const buffer = await response.arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  /** @type {Record<string, any>} */
  const arrays = {};
  let offset = 4 + length;
  for (const part of header.arrays) {
    const Kind = ARRAYS[/** @type {keyof typeof ARRAYS} */ (part.dtype)];
    arrays[part.name] = new Kind(buffer, offset, part.length);
    offset += Math.ceil((part.length * Kind.BYTES_PER_ELEMENT) / 4) * 4;
  }
  return { header, arrays };
}

/**
 * Which voxel each pixel of the flat map shows (−1 cortex without one, −2 no cortex), and the curvature.
 * @param {string} path
 */
export async function getPixelMap(path) {
  const { header, arrays } = await getArrays(path);
  return { width: header.width, height: header.height, voxelAt: arrays.voxel, curvature: arrays.curvature };
}

/**
 * Both hemispheres of a surface, left vertices first. Faces are those of the left hemisphere that the flat map has, its
 * other ones, and the same of the right hemisphere; places are where vertices lie in the flat map, as fractions.
 * @param {string} path
 */
export async function getMesh(path) {
  const { header, arrays } = await getArrays(path);
  const { n_left: nLeft, n_faces: nFaces, flat_mm: flatMm, low, step } = header;
  const points = Float32Array.from(arrays.position, (number, at) => low[at % 3] + step[at % 3] * number);
  const places = Float32Array.from(arrays.flat, (number) => number / 65535);
  let start = 0;
  const faces = nFaces.map((/** @type {number} */ n) => /** @type {Uint32Array} */ (arrays.corner).slice(start, (start += 3 * n)));
  return { nLeft, points, curvature: /** @type {Uint8Array} */ (arrays.curvature), voxelOf: /** @type {Int32Array} */ (arrays.voxel), faces: /** @type {Uint32Array[]} */ (faces), places, flatMm: /** @type {number[]} */ (flatMm) };
}

/**
 * Follows a subscription, and goes on after the connection was lost.
 * @param {string} query
 * @param {(data: any) => void} next
 * @param {(error: Trouble) => void} failed
 */
export async function subscribe(query, next, failed) {
  /** @type {typeof import("graphql-ws/client")} */
  const { createClient } = await import(GRAPHQL_WS).catch(() => ({}));
  if (!createClient) return failed(new Trouble("This page does not follow ingests, because it is not built: see api/web/README.md.", "NOT_BUILT"));
  const client = createClient({
    url: new URL("graphql", document.baseURI).href.replace("http", "ws"),
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: (retries) => new Promise((resolve) => setTimeout(resolve, Math.min(1000 * 2 ** retries, 30_000))),
  });
  client.subscribe({ query }, {
    next: ({ data }) => { if (data) next(data); },
    error: () => failed(new Trouble("This page no longer follows ingests; reload it to follow them again.", "NOT_FOLLOWING")),
    complete: () => {},
  });
}
