// The WASM is fetched when this module is first imported; everything is ready when the import is. What is here besides gives
// the classes of the WASM the signatures of `index.d.ts`: options and reports are objects here, and lists of numbers there.
import * as raw from "./pool_web_bg.js";
import timing from "./timing.txt";
import { add_module, end, on_ended, probe, take_thrown } from "./glue.js";
import { PoolError, exception, formatBytes, has_method, make_error } from "./error.js";

let url = new URL("./pool_web_bg.wasm", import.meta.url);
// Vite's development server bundles this module ahead, and leaves the WASM where it was.
if (url.pathname.includes("/.vite/deps/")) url = new URL("../../pool-web/pool_web_bg.wasm", url);

/** What the bindings throw by themselves. */
function misused() {
  throw new PoolError("pool-closed", "used after `free()`, or freed while in use");
}

const imports = { _: { ...raw.imports, [raw.THROW]: misused } };

async function load() {
  // Node has no fetch of files: there this module is imported only to be looked at, by test runners for example. Its module
  // is not imported, as bundlers for the browser stop at the name.
  const node = url.protocol === "file:" && globalThis.process?.getBuiltinModule?.("node:fs");
  if (node) return WebAssembly.instantiate(node.readFileSync(url), imports);
  const fetched = fetch(url);
  try {
    return await WebAssembly.instantiateStreaming(fetched, imports);
  } catch (error) {
    // A server that does not say `application/wasm` costs a little time, no more.
    const response = await fetched;
    if (!response.ok || response.headers.get("Content-Type") === "application/wasm") throw error;
    return WebAssembly.instantiate(await (await fetch(url)).arrayBuffer(), imports);
  }
}

const { exports } = (await load()).instance;
raw.__wbg_set_wasm(exports);
exports[raw.START]();

/** What is kept unless the options say otherwise: the design note's number. */
const KEPT = 20;

const bad = (message) => new PoolError("bad-option", message);

/** `undefined`, a number (which is then the option `named`), or an object. */
function read(options, named) {
  if (typeof options === "number") return { [named]: options };
  if (options !== undefined && (typeof options !== "object" || options === null)) {
    throw bad("options must be an object or a number");
  }
  return options ?? {};
}

/** A number of at least 0, or infinite. */
function number(options, name, otherwise = Infinity) {
  const value = options[name];
  if (value === undefined) return otherwise;
  if (!(typeof value === "number" && value >= 0)) throw bad(`\`${name}\` must be a number of at least 0`);
  return value;
}

/** A number of objects or bytes; an infinite one is more than there can be. */
const most = (count) => {
  if (!(count >= 0)) throw bad("expected a number of at least 0");
  return bounded(count);
};

/** In WASM what is not finite was left out, and no budget is as good as all the bytes that it can address. */
const bounded = (bytes) => Math.min(bytes, 2 ** 32);

/** The budget of all that are given none. */
let common;

/** The number of the budget. */
function budget({ memory }) {
  if (memory === undefined) memory = common ??= new AudioMemoryManager();
  // One that was freed is none any more.
  if (!(memory instanceof AudioMemoryManager && memory.__wbg_ptr)) {
    throw bad("`memory` must be an AudioMemoryManager");
  }
  return memory._key();
}

/** What all pools have: most that wait, most in all, and seconds to wait. */
function bounds(options, waiting, most) {
  return [number(options, waiting, KEPT), number(options, most), number(options, "idleSeconds")];
}

/** An object of names and figures; what is not known is no number in WASM, and null here. */
function report(names, figures, start = 0) {
  return Object.fromEntries(names.split(" ").map((name, index) => {
    const figure = figures[start + index];
    return [name, Number.isNaN(figure) ? null : figure];
  }));
}

/** What is thrown in `work` says what was being done. */
async function attempt(operation, work) {
  try {
    return await work();
  } catch (error) {
    throw exception(operation, error);
  }
}

/** Of the samples: 32 bits each. */
const bytesOf = (buffer) => 4 * buffer.numberOfChannels * buffer.length || 0;

function group(title, lines) {
  console.group(title);
  for (const line of lines) console.log(line);
  console.groupEnd();
}

const NODE_STATS = "total inUse available quarantined created destroyed hits misses discarded";

/** What all node pools do with raw nodes. */
class NodeDesk extends raw.Nodes {
  /** So that its callbacks are called for as long as there are pools. */
  #memory;

  constructor(context, options, memory, ...rest) {
    super(
      context,
      ...bounds(options, "maxSize", "maxNodes"),
      memory,
      number(options, "maxQuarantined", NaN),
      ...rest,
    );
    this.#memory = options.memory;
  }

  release(node) {
    this._end(node, true);
  }

  discard(node) {
    this._end(node, false);
  }

  connect(source, destination, output = 0, input = 0) {
    this._connect(source, destination, output, input);
  }

  disconnect(source, destination) {
    this._cut(source, destination);
  }

  connectParam(source, destination, param) {
    this._connect(source, destination, 0, 0, param);
  }

  trim(available) {
    return this._trim(most(available));
  }

  toJSON() {
    return this.getStats();
  }
}

export class AudioNodePool extends NodeDesk {
  #factory;
  #resetter;

  constructor(context, factory, resetter, options) {
    options = read(options, "maxSize");
    if (typeof factory !== "function") throw bad("the factory must be a function");
    const { message, answer } = options.protocol ?? {};
    // The WASM must not keep the pool, nor what its functions refer to: often that is who has the pool. So what is passed
    // may mention nothing but this, nor may anything else in here that is called later.
    let pool;
    super(
      context,
      options,
      // Only delays hold bytes that count, and nobody knows yet what the function makes.
      options.memory === undefined ? Infinity : budget(options),
      (context) => (0, pool.deref().#factory)(context),
      typeof resetter === "function" ? (node) => (0, pool.deref().#resetter)(node) : undefined,
      number(options, "settleSeconds"),
      message,
      answer,
    );
    this.#factory = factory;
    this.#resetter = resetter;
    pool = new WeakRef(this);
  }

  acquire() {
    return this._acquire(0, 0);
  }

  prewarm(count) {
    return this._prewarm(0, 0, most(count));
  }

  getStats() {
    return report(NODE_STATS, this._stats());
  }
}

/** In the order of the WASM; the first letter of the name in the stats is a small one. */
const TYPES =
  "Gain Filter Delay Panner SpatialPanner Convolver WaveShaper Analyser Splitter Merger IIRFilter".split(" ");

export class AudioNodePoolManager extends NodeDesk {
  constructor(context, options) {
    options = read(options, "maxSize");
    super(context, options, budget(options));
  }

  acquireIIRFilter(feedforward, feedback) {
    return this._acquireIIR(Array.from(feedforward), Array.from(feedback));
  }

  prewarm(gains, filters, panners) {
    const make = (kind, count) => this._prewarm(kind, 0, most(count));
    return make(0, gains) + make(1, filters) + make(3, panners);
  }

  prewarmDelays(count, maxDelay = 5) {
    return this._prewarm(2, maxDelay, most(count));
  }

  async ready() {
    await probe(1);
    return probe(0);
  }

  getStats() {
    const stats = this._stats();
    const name = (type) => (type === "IIRFilter" ? "iirFilter" : type[0].toLowerCase() + type.slice(1));
    return Object.fromEntries(TYPES.map((type, index) => [name(type), report(NODE_STATS, stats, 9 * index)]));
  }
}

TYPES.forEach((type, kind) => {
  const methods = AudioNodePoolManager.prototype;
  const usual = type === "Delay" ? 5 : 6;
  methods["acquire" + type] ??= function (size) {
    return this._acquire(kind, size ?? usual);
  };
  methods["release" + type] = methods.release;
});

/** Seconds between two rounds of housekeeping: the design note's number. */
const CARE_SECONDS = 30;

export class AudioBufferPool extends raw.AudioBufferPool {
  #memory;
  #rate;
  #care;

  constructor(context, options) {
    options = read(options, "maxPoolSize");
    super(context, ...bounds(options, "maxPoolSize", "maxBuffers"), budget(options));
    this.#memory = options.memory;
    this.#rate = context.sampleRate;
    const idle = number(options, "idleSeconds");
    // Without a limit of idle time there is nothing to look after.
    if (idle === Infinity) return;
    // The timer must not keep the pool.
    const pool = new WeakRef(this);
    const care = setInterval(() => {
      const cared = pool.deref();
      if (cared?.__wbg_ptr) cared.maintain();
      else clearInterval(care);
    }, Math.min(Math.max(idle, 1), CARE_SECONDS) * 1000);
    this.#care = care;
  }

  release(buffer) {
    this._end(buffer, true);
  }

  discard(buffer) {
    this._end(buffer, false);
  }

  dispose() {
    clearInterval(this.#care);
    this._close();
  }

  acquire(channels, length, sampleRate) {
    return this._acquire(channels, length, sampleRate ?? this.#rate, false);
  }

  acquireDirty(channels, length, sampleRate) {
    return this._acquire(channels, length, sampleRate ?? this.#rate, true);
  }

  prewarm(channels, length, count, sampleRate) {
    return this._prewarm(channels, length, sampleRate ?? this.#rate, most(count));
  }

  trim(available) {
    return this._trim(most(available));
  }

  getStats() {
    return report(
      "poolCount totalBuffers inUse available bytes created destroyed hits misses discarded",
      this._stats(),
    );
  }

  toJSON() {
    return this.getStats();
  }
}

/** Leases that are collected without a release are released. */
const forgotten = new FinalizationRegistry((end) => end());

class SampleLease {
  constructor({ id, buffer }, end) {
    const token = {};
    // A function that needs no `this`, and does not keep the lease.
    const release = () => {
      if (!forgotten.unregister(token)) throw make_error("released-twice", [], "sample");
      end();
    };
    Object.assign(this, { id, buffer, release });
    forgotten.register(this, end, token);
  }
}

export class SampleCache extends raw.Samples {
  #memory;
  #context;
  /** By id: the buffer, its bytes, and how many have it. */
  #samples = new Map();
  /** Those that nobody has, the one given back longest ago first. */
  #idle = new Set();
  /** Decodings under way. */
  #pending = new Map();
  #bytes = 0;
  #counts = { created: 0, destroyed: 0, hits: 0, misses: 0 };

  constructor(context, options) {
    options = read(options, "");
    let cache;
    // The WASM must not keep the cache.
    super(budget(options), (bytes) => cache.deref()?.#evict(bytes));
    this.#memory = options.memory;
    cache = new WeakRef(this);
    this.#context = context;
  }

  get(id) {
    const sample = this.#samples.get(id);
    this.#counts[sample ? "hits" : "misses"]++;
    if (!sample) return undefined;
    if (sample.leases++ === 0) {
      this.#idle.delete(sample);
      this.#shift(0, -sample.bytes);
    }
    return this.#lease(sample);
  }

  async decode(id, bytes) {
    return this.#once(id, () => this.#decode(bytes));
  }

  async decodeUrl(address) {
    const url = String(address);
    return this.#once(url, async () => {
      const bytes = await attempt("fetch", async () => {
        const answer = await fetch(url);
        if (!answer.ok) throw new Error(`${url}: the server answered ${answer.status}`);
        return answer.arrayBuffer();
      });
      return this.#decode(bytes);
    });
  }

  clear() {
    this.#evict(Infinity);
    this._settle();
  }

  getStats() {
    const [total, available] = [this.#samples.size, this.#idle.size];
    return { total, inUse: total - available, available, bytes: this.#bytes, ...this.#counts };
  }

  toJSON() {
    return this.getStats();
  }

  #decode(bytes) {
    return attempt("decodeAudioData", () => this.#context.decodeAudioData(bytes));
  }

  async #once(id, work) {
    const there = this.get(id);
    if (there) return there;
    let decoding = this.#pending.get(id);
    if (!decoding) {
      this.#pending.set(id, (decoding = { waiting: 0 }));
      decoding.over = this.#keep(id, decoding, work);
    }
    decoding.waiting++;
    return this.#lease(await decoding.over);
  }

  async #keep(id, decoding, work) {
    try {
      const buffer = await work();
      const bytes = bytesOf(buffer);
      this.#shift(bytes, 0);
      // All who wait have it from now on: else others who make room could take it before they run.
      const sample = { id, buffer, bytes, leases: decoding.waiting };
      this.#samples.set(id, sample);
      this.#counts.created++;
      this._settle();
      return sample;
    } finally {
      this.#pending.delete(id);
    }
  }

  /** One of those that `sample.leases` counts. */
  #lease(sample) {
    return new SampleLease(sample, () => {
      // After `free` there is no budget to give back to.
      if (--sample.leases > 0 || !this.__wbg_ptr) return;
      this.#idle.add(sample);
      this.#shift(0, sample.bytes);
      this._settle();
    });
  }

  #shift(bytes, idle) {
    this.#bytes = this._shift(bytes, idle);
  }

  /** Gives up idle samples of at least so many bytes, or all; returns what they had. */
  #evict(bytes) {
    let freed = 0;
    for (const sample of this.#idle) {
      if (freed >= bytes) break;
      freed += sample.bytes;
      this.#idle.delete(sample);
      this.#samples.delete(sample.id);
      this.#counts.destroyed++;
    }
    this.#shift(-freed, -freed);
    return freed;
  }
}

/** What a callback throws must not end what the pools are doing: it is thrown on in a task of its own. */
const apart = (callback) => (usage) => {
  try {
    callback(usage);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
};

export class AudioMemoryManager extends raw.AudioMemoryManager {
  /** The bytes of each id, the longest unused first. */
  #tracked = new Map();
  #onWarning;
  #onRecovery;

  constructor(memoryWarningThresholdMB, onMemoryWarning, options) {
    options = read(options, "budgetBytes");
    const threshold = memoryWarningThresholdMB ?? undefined;
    if (threshold !== undefined && !(threshold >= 0)) throw bad("the threshold must be a number of at least 0");
    const { onRecovery } = options;
    // The WASM must not keep what the callbacks refer to.
    let memory;
    super(
      bounded(threshold * 1024 * 1024),
      bounded(number(options, "budgetBytes", NaN)),
      apart((usage) => memory.deref()?.#onWarning?.(usage)),
      apart((usage) => memory.deref()?.#onRecovery?.(usage)),
    );
    memory = new WeakRef(this);
    this.#onWarning = onMemoryWarning ?? undefined;
    this.#onRecovery = typeof onRecovery === "function" ? onRecovery : undefined;
  }

  trackBuffer(id, buffer) {
    if (!has_method(buffer, "getChannelData")) throw bad("the buffer must be an AudioBuffer");
    const bytes = bytesOf(buffer);
    this._track(bytes - (this.#tracked.get(id) ?? 0));
    this.#tracked.delete(id);
    this.#tracked.set(id, bytes);
    // Now that a callback finds it.
    this._settle();
  }

  untrackBuffer(id) {
    const bytes = this.#tracked.get(id);
    this.#untrack(bytes === undefined ? [] : [[id, bytes]]);
    return bytes;
  }

  touch(id) {
    const bytes = this.#tracked.get(id);
    this._track(0);
    return this.#tracked.delete(id) && !!this.#tracked.set(id, bytes);
  }

  getStats() {
    const { estimatedBufferMemory, activeNodes, ...others } = report(
      "estimatedBufferMemory activeNodes peakMemory inUse available tracked budget overBudget idleNodes",
      this._stats(),
    );
    return { estimatedBufferMemory, activeNodes, cachedBuffers: this.#tracked.size, ...others };
  }

  setBudget(bytes) {
    if (!(bytes >= 0)) throw bad("the budget must be a number of at least 0");
    return this._setBudget(bytes);
  }

  cleanup(keepIds) {
    if (typeof keepIds?.[Symbol.iterator] !== "function") throw bad("`keepIds` must be iterable");
    const keep = new Set(keepIds);
    return this.#untrack([...this.#tracked].filter(([id]) => !keep.has(id)));
  }

  evictToSize(target) {
    let over = this._evict(most(target));
    const gone = [...this.#tracked].filter(([, bytes]) => over > 0 && ((over -= bytes), true));
    this.#untrack(gone);
    return gone.map(([id]) => id);
  }

  clear() {
    this.cleanup([]);
    this._clear();
  }

  /** Returns the bytes of all these. */
  #untrack(entries) {
    const freed = entries.reduce((sum, [, bytes]) => sum + bytes, 0);
    this._track(-freed);
    for (const [id] of entries) this.#tracked.delete(id);
    this._settle();
    return freed;
  }

  formatBytes(bytes) {
    return formatBytes(bytes);
  }

  toJSON() {
    return this.getStats();
  }

  #lines() {
    const stats = this.getStats();
    const bytes = (name) => formatBytes(stats[name]);
    return [
      `In use: ${bytes("estimatedBufferMemory")} of ${bytes("budget")}`,
      `Leased: ${bytes("inUse")}`,
      `Idle: ${bytes("available")}`,
      `Tracked: ${bytes("tracked")}`,
      `Peak: ${bytes("peakMemory")}`,
      `Over the budget: ${bytes("overBudget")}`,
      `Cached buffers: ${stats.cachedBuffers}`,
      `Active nodes: ${stats.activeNodes}`,
      `Idle nodes: ${stats.idleNodes}`,
    ];
  }

  report() {
    return this.#lines().join("\n");
  }

  logStats() {
    group("Audio memory", this.#lines());
  }
}

export class AudioPerformanceProfiler extends raw.AudioPerformanceProfiler {
  #context;
  #url;

  constructor(context, options) {
    const { moduleUrl } = read(options, "");
    super(context);
    this.#context = context;
    this.#url = moduleUrl?.toString();
  }

  async startMonitoring() {
    if (!this._begin()) return;
    const turn = this._turn();
    const added = add_module(this.#context, this.#url, timing);
    if (!added) throw make_error("unsupported", [], "AudioWorklet (the page must be secure)");
    await attempt("addModule", () => added);
    this._finish(turn);
  }

  getMetrics() {
    const figures = this._metrics();
    const loads = report("p50 p95 p99 max count", figures, 8);
    return {
      ...report(
        "contextTime baseLatency outputLatency bufferUnderruns underrunSeconds processingLoad averageCallbackTime quanta",
        figures,
      ),
      loads: loads.count && loads,
    };
  }

  toJSON() {
    return this.getMetrics();
  }

  getLatencyInfo() {
    const latency = report("base output total", this._latency());
    // The design note calls it so; it is no latency of an input.
    return { input: latency.base, ...latency };
  }

  getTimingHistory() {
    const figures = this._history();
    const entry = (_, index) => report("timestamp duration busy frames", figures, 4 * index);
    return Array.from({ length: figures.length / 4 }, entry);
  }

  logMetrics() {
    const metrics = this.getMetrics();
    const latency = this.getLatencyInfo();
    const shown = (value, factor, digits, unit) =>
      value === null ? "unavailable" : (value * factor).toFixed(digits) + unit;
    group("Audio performance", [
      `Context time: ${metrics.contextTime.toFixed(3)} s`,
      `Base latency: ${shown(latency.base, 1000, 2, " ms")}`,
      `Output latency: ${shown(latency.output, 1000, 2, " ms")}`,
      `Total latency: ${shown(latency.total, 1000, 2, " ms")}`,
      `Underruns: ${shown(metrics.bufferUnderruns, 1, 0, "")}`,
      `Average callback interval: ${shown(metrics.averageCallbackTime, 1, 2, " ms")}`,
      `Load: ${shown(metrics.processingLoad, 100, 1, " %")}`,
    ]);
  }

  dispose() {
    this.stopMonitoring();
    this.resetStats();
  }
}

export function nodeTypes() {
  const types = {};
  raw.nodeTypes((name, type) => (types[name] = type));
  return types;
}

export function whenEnded(source, callback) {
  if (typeof callback !== "function" || !has_method(source, "stop")) throw bad("expected a source and a function");
  if (!on_ended(source, () => callback())) throw exception("whenEnded", take_thrown());
}

export function endNow(source) {
  end(source);
}

export { PoolError };
