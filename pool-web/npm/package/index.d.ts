/**
 * Web Audio nodes and buffers that are used again, under a budget in bytes.
 *
 * A released node is brought back to how a fresh one is: its connections (those into it that were made through the pool),
 * automation, settings, and the signal that it holds. Do not touch a node or buffer after you have released it.
 *
 * Coming from the design note: code that was written for it compiles with the import changed, but for this.
 * - Of `AudioPerformanceMetrics`, `getLatencyInfo()` and `CallbackTiming.duration` what the browser does not tell is `null`,
 *   where the note has a 0 or a guess: write `metrics.processingLoad ?? 0`, or say "unavailable".
 * - `startMonitoring()` returns a promise, and `untrackBuffer()` bytes.
 * - `formatBytes()` says KiB and MiB; releasing twice, or what is of no pool, throws instead of doing nothing; a warning comes
 *   once, until the use has fallen again; pools end at their budget, and `maxSize` bounds what waits.
 * - `source.connect(node)` into a pooled node outlives its release: write `pool.connect(source, node)`.
 *
 * @packageDocumentation
 */

/** Why a pool refused something. */
export type PoolErrorCode =
  | "unknown"
  | "released-twice"
  | "foreign"
  | "exception"
  | "bad-buffer"
  | "bad-delay"
  | "bad-filter"
  | "bad-channels"
  | "bad-option"
  | "not-a-node"
  | "not-poolable"
  | "unknown-param"
  | "context-closed"
  | "pool-closed"
  | "exhausted"
  | "over-budget"
  | "unsupported";

/**
 * What every method here throws; of pools, after `free()`, `"pool-closed"`. For arguments that the types rule out it may be the
 * browser's own `TypeError`.
 */
export class PoolError extends Error {
  private constructor();
  readonly name: "PoolError";
  /** Stays the same from version to version; the message may change. */
  readonly code: PoolErrorCode;
  /** The numbers, such as `requested`, `free` and `limit` in bytes for `"over-budget"`. */
  readonly details: Readonly<Record<string, number | string>>;
}

/** How a pool is doing. */
export interface PoolStats {
  /** Nodes that exist: in use, quarantined and available. */
  total: number;
  /** Handed out. */
  inUse: number;
  /** Waiting to be used again. */
  available: number;
  /** Released, and not yet silent. */
  quarantined: number;
  /** Made so far. */
  created: number;
  /** Given up so far. */
  destroyed: number;
  /** Acquires that were served without making a node. */
  hits: number;
  /** Acquires that had to make one, whether or not that succeeded. */
  misses: number;
  /** Of those destroyed: not fit for use again. */
  discarded: number;
}

/** Options of node pools. */
export interface NodePoolOptions {
  /** Most nodes that wait to be used again. Default: 20; `Infinity` for no bound. */
  maxSize?: number;
  /** Most nodes in all; an acquire beyond throws `"exhausted"`. Default: no bound. */
  maxNodes?: number;
  /** Seconds after which a waiting node is given up, at the next `maintain()`. Default: never. */
  idleSeconds?: number;
  /** The budget that delay lines are charged to. Default: of a manager the one of 96 MB that all share; of other pools none. */
  memory?: AudioMemoryManager;
  /** Most nodes of a type that rest until they are silent; beyond it those with longest to go are given up. Default: 256. */
  maxQuarantined?: number;
}

/** Options of a pool with a factory of yours. */
export interface UserPoolOptions extends NodePoolOptions {
  /**
   * Seconds of zeros that a released node is pulled with before it is used again. Needed for `IIRFilterNode`s, which do not
   * tell their coefficients, and for worklets with a tail; other types know.
   */
  settleSeconds?: number;
  /**
   * How an `AudioWorkletNode` is told to forget: `message` is posted to its processor at each release, and the node is used
   * again once the processor has posted `answer`. Without it worklet nodes are discarded. Do not answer once `process` has
   * returned `false`.
   */
  protocol?: { message: string | number; answer: string | number };
}

/** Makes a node. May throw. */
export type NodeFactory<T extends AudioNode, C extends BaseAudioContext = AudioContext> = (context: C) => T;

/**
 * Runs at each release, after the pool has reset the node to the browser's defaults: for what your factory sets beyond them,
 * but for connections: those of a node that has to rest until it is silent are cut once more when it has.
 * Return `false` to discard the node; if it throws, the node is discarded too.
 */
export type NodeResetter<T extends AudioNode> = (node: T) => void | boolean;

/** The design note's type, which nothing here makes. */
export interface PooledNode<T extends AudioNode> {
  node: T;
  inUse: boolean;
  lastUsed: number;
}

/** What all node pools do with raw nodes. */
interface NodeDesk {
  /**
   * Connects `source` (any node) to `destination`, a node of a pool of this context; the release of either cuts it, unlike a
   * plain `source.connect(destination)`. Until then it keeps `source`: from a bus that lives on, {@link disconnect} what is
   * over and of no pool.
   */
  connect(source: AudioNode, destination: AudioNode, output?: number, input?: number): void;
  /** Undoes every connection from `source` to `destination` that was made here: for a bus that outlives what plays into it. */
  disconnect(source: AudioNode, destination: AudioNode): void;
  /** Connects `source` to a parameter of `destination`, a node of a pool of this context; the release of either cuts it. */
  connectParam(source: AudioNode, destination: AudioNode, param: string): void;
  /** Goes from the present value of a parameter to `value` in a straight line, up to the context time `endTime`. */
  rampTo(node: AudioNode, param: string, value: number, endTime: number): void;
  /** Adds an event listener that the release removes. */
  listen(node: AudioNode, type: string, callback: (event: Event) => void): void;
  /** Gives the node up instead of releasing it. */
  discard(node: AudioNode): void;
  /** Takes the node out of the pool for good: it is yours as it is, with its connections. */
  detach(node: AudioNode): void;
  /** Housekeeping, about once a second: what has become silent is available again. Returns how many nodes it moved. */
  maintain(): number;
  /** Why a node was discarded at its release, if an exception did it. Taken: asked again, `undefined`. */
  takeFailure(): string | undefined;
  /** Gives up waiting nodes, the longest waiting first, until so many of each type are left. Returns how many went. */
  trim(available: number): number;
  /** Evicts all nodes that wait. */
  clear(): void;
  /** Refuses all further acquires, and clears. Nodes in use stay usable. */
  dispose(): void;
  /**
   * Frees the pool; called by the garbage collector too, but not while its context refers to it, as by a `WeakMap`: the pool
   * keeps its context.
   */
  free(): void;
}

/** For `JSON.stringify`: what `getStats()` returns. */
interface Reports<Stats> {
  toJSON(): Stats;
}

/**
 * Nodes made by a function of yours.
 *
 * ```ts
 * const gains = new AudioNodePool(context, (ctx) => ctx.createGain(), (node) => { node.gain.value = 0.5; });
 * ```
 */
export class AudioNodePool<T extends AudioNode> {
  /** @param options - options, or the most nodes that wait (default 20) */
  constructor(
    context: AudioContext,
    factory: NodeFactory<T>,
    resetter?: NodeResetter<T> | null,
    options?: number | UserPoolOptions,
  );
  constructor(
    context: BaseAudioContext,
    factory: NodeFactory<T, BaseAudioContext>,
    resetter?: NodeResetter<T> | null,
    options?: number | UserPoolOptions,
  );
  /**
   * A node that is like a fresh one.
   * @throws {@link PoolError} `"not-poolable"` for sources that play once and for compressors; `"exhausted"`,
   * `"over-budget"`, `"context-closed"`, `"pool-closed"`; `"exception"` if the factory throws, `"not-a-node"` if it gives
   * anything else than a node, such as a promise
   */
  acquire(): T;
  /**
   * Gives the node back.
   * @throws {@link PoolError} `"unknown"`, `"released-twice"` or `"foreign"`; nothing is changed then
   */
  release(node: T): void;
  /** Makes nodes until `count` are available. Returns how many were made. */
  prewarm(count: number): number;
  getStats(): PoolStats;
}
export interface AudioNodePool<T extends AudioNode> extends NodeDesk, Reports<PoolStats> {}

/** A pool of each type of node that needs no code of yours. */
export class AudioNodePoolManager {
  /** @param options - options, or the most nodes of each type that wait (default 20) */
  constructor(context: BaseAudioContext, options?: number | NodePoolOptions);
  /** A gain of 1. */
  acquireGain(): GainNode;
  releaseGain(node: GainNode): void;
  /** A lowpass at 350 Hz. */
  acquireFilter(): BiquadFilterNode;
  releaseFilter(node: BiquadFilterNode): void;
  /** A delay of 0 with a line of `maxDelay` seconds (default 5). It rests for as long before it is used again. */
  acquireDelay(maxDelay?: number): DelayNode;
  releaseDelay(node: DelayNode): void;
  /** A stereo panner in the middle. */
  acquirePanner(): StereoPannerNode;
  releasePanner(node: StereoPannerNode): void;
  acquireSpatialPanner(): PannerNode;
  releaseSpatialPanner(node: PannerNode): void;
  acquireConvolver(): ConvolverNode;
  releaseConvolver(node: ConvolverNode): void;
  acquireWaveShaper(): WaveShaperNode;
  releaseWaveShaper(node: WaveShaperNode): void;
  acquireAnalyser(): AnalyserNode;
  releaseAnalyser(node: AnalyserNode): void;
  /** A filter with these coefficients. It rests for as long as it rings before it is used again. */
  acquireIIRFilter(feedforward: ArrayLike<number>, feedback: ArrayLike<number>): IIRFilterNode;
  releaseIIRFilter(node: IIRFilterNode): void;
  /** A splitter with so many outputs (default 6). */
  acquireSplitter(outputs?: number): ChannelSplitterNode;
  releaseSplitter(node: ChannelSplitterNode): void;
  /** A merger with so many inputs (default 6). */
  acquireMerger(inputs?: number): ChannelMergerNode;
  releaseMerger(node: ChannelMergerNode): void;
  /** Releases a node of any of these types. */
  release(node: AudioNode): void;
  /** Waits until this browser has been probed, and tells whether biquad filters are reset at once in it. */
  ready(): Promise<boolean>;
  /** Makes nodes until so many of each are available. Returns how many were made. */
  prewarm(gains: number, filters: number, panners: number): number;
  prewarmDelays(count: number, maxDelay?: number): number;
  getStats(): NodeManagerStats;
}
export interface AudioNodePoolManager extends NodeDesk, Reports<NodeManagerStats> {}

/** How the pool of each type is doing. */
export interface NodeManagerStats
  extends Record<
    | "gain"
    | "filter"
    | "delay"
    | "panner"
    | "spatialPanner"
    | "convolver"
    | "waveShaper"
    | "iirFilter"
    | "analyser"
    | "splitter"
    | "merger",
    PoolStats
  > {
  [type: string]: PoolStats;
}

/** The design note's type, which nothing here makes. */
export interface PooledBuffer {
  buffer: AudioBuffer;
  inUse: boolean;
  lastUsed: number;
}

/** Options of a buffer pool. */
export interface BufferPoolOptions {
  /** Most buffers of one shape that wait to be used again. Default: 20; `Infinity` for no bound. */
  maxPoolSize?: number;
  /** Most buffers of one shape in all; an acquire beyond throws `"exhausted"`. Default: no bound. */
  maxBuffers?: number;
  /** Seconds after which a waiting buffer is given up; a timer looks after it. Default: never. */
  idleSeconds?: number;
  /** The budget. Default: the one of 96 MB that all share which are given none. */
  memory?: AudioMemoryManager;
}

/** Buffers by channels, length and sample rate. */
export class AudioBufferPool {
  /** @param options - options, or the most buffers of one shape that wait (default 20) */
  constructor(context: BaseAudioContext, options?: number | BufferPoolOptions);
  /** A silent buffer; at the context's sample rate unless you say otherwise. */
  acquire(channels: number, length: number, sampleRate?: number): AudioBuffer;
  /** A buffer with whatever sound its last user left in it: for those who write all of it. */
  acquireDirty(channels: number, length: number, sampleRate?: number): AudioBuffer;
  /**
   * Gives the buffer back. One that {@link play} has given to sources is used again once all of them have ended.
   * @throws {@link PoolError} `"unknown"` or `"released-twice"`; nothing is changed then
   */
  release(buffer: AudioBuffer): void;
  /**
   * Sets `source.buffer`, and keeps the buffer from being used again until the source has ended. (What is written into a
   * buffer while it plays is heard at once.)
   */
  play(buffer: AudioBuffer, source: AudioBufferSourceNode): void;
  /** Gives the buffer up instead of releasing it. */
  discard(buffer: AudioBuffer): void;
  /** Makes buffers until `count` of a shape are available. Returns how many were made. */
  prewarm(channels: number, length: number, count: number, sampleRate?: number): number;
  /** Housekeeping: gives up what waited too long. Returns how many buffers went. */
  maintain(): number;
  /** Gives up waiting buffers, the longest waiting first, until so many are left. Returns how many went. */
  trim(available: number): number;
  getStats(): BufferPoolStats;
  /** Evicts all buffers that wait. */
  clear(): void;
  /** Refuses all further acquires, and clears. Buffers in use stay usable. */
  dispose(): void;
  free(): void;
}
export interface AudioBufferPool extends Reports<BufferPoolStats> {}

/** How a pool of buffers is doing. */
export interface BufferPoolStats {
  /** Shapes of which there are buffers. */
  poolCount: number;
  totalBuffers: number;
  inUse: number;
  available: number;
  bytes: number;
  created: number;
  destroyed: number;
  hits: number;
  misses: number;
  discarded: number;
}

/** A decoded sound, in use. Do not write into the buffer: others may play it. */
export interface SampleLease {
  readonly id: string;
  readonly buffer: AudioBuffer;
  /**
   * Gives it back; the garbage collector does so for those that are forgotten.
   * @throws {@link PoolError} `"released-twice"`; nothing is changed then
   */
  release(): void;
}

/** How a cache of sounds is doing. */
export interface SampleCacheStats {
  /** Sounds that are there: in use and available. */
  total: number;
  /** Sounds that somebody has a lease of. */
  inUse: number;
  /** Sounds that nobody has, and that go when the budget needs room. */
  available: number;
  /** Of all of them. */
  bytes: number;
  /** Decoded so far. */
  created: number;
  /** Let go of so far. */
  destroyed: number;
  /** Times a sound was there when it was asked for. */
  hits: number;
  /** Times it was not, or was still being decoded. */
  misses: number;
}

/**
 * Sounds by id, each decoded once and leased to any number of sources at a time. What is leased stays; the rest goes when the
 * budget needs room, the sound given back longest ago first. What was decoded counts even over the budget.
 *
 * ```ts
 * const kick = await sounds.decodeUrl("kick.flac"); // the second time from the cache
 * source.buffer = kick.buffer;
 * whenEnded(source, () => kick.release());
 * ```
 */
export class SampleCache {
  /** @param options - the budget; default: the one of 96 MB that all share which are given none */
  constructor(context: BaseAudioContext, options?: { memory?: AudioMemoryManager });
  /** The sound, if it is there. */
  get(id: string): SampleLease | undefined;
  /**
   * The sound, decoded from `bytes` (which are empty afterwards) unless it is there or being decoded.
   * @throws {@link PoolError} `"exception"` of `"decodeAudioData"`; nothing is kept then, and it may be tried again
   */
  decode(id: string, bytes: ArrayBuffer): Promise<SampleLease>;
  /**
   * The same from an address, which is its id.
   * @throws {@link PoolError} `"exception"` of `"fetch"`, also if the answer is no success, or of `"decodeAudioData"`
   */
  decodeUrl(url: string | URL): Promise<SampleLease>;
  /** Lets go of every sound that nobody has. */
  clear(): void;
  getStats(): SampleCacheStats;
  free(): void;
}
export interface SampleCache extends Reports<SampleCacheStats> {}

/** What audio holds, in bytes if it is no number of nodes or buffers. `getStats()` has all of it. */
export interface AudioMemoryStats {
  /** Charged now: in use, available and tracked. */
  estimatedBufferMemory: number;
  /** Nodes that are in use, or counted by `trackNode`. */
  activeNodes: number;
  /** Buffers tracked by id. */
  cachedBuffers: number;
  /** The most that was charged at one time, since `resetPeak`. */
  peakMemory: number;
  /** Pooled objects and sounds that are out, or wait to be silent. */
  inUse?: number;
  /** Those that wait to be used again. */
  available?: number;
  /** Buffers tracked by id. */
  tracked?: number;
  budget?: number;
  overBudget?: number;
  /** Nodes that wait to be used again. */
  idleNodes?: number;
}

/** One budget in bytes for pooled buffers, delay lines and buffers of your own. */
export class AudioMemoryManager {
  /**
   * @param memoryWarningThresholdMB - where `onMemoryWarning` is called, once until the use has fallen again; default 7/8 of
   * the budget, `Infinity` for never
   * @param options - the budget in bytes, which pools never pass (default 96 000 000, or the threshold if that is more;
   * `Infinity` for the 4 GiB that can be addressed), and what is called when a warning is over
   */
  constructor(
    memoryWarningThresholdMB?: number,
    onMemoryWarning?: (usage: number) => void,
    options?: number | { budgetBytes?: number; onRecovery?: (usage: number) => void },
  );
  /** Counts the samples of `buffer` under `id`. */
  trackBuffer(id: string, buffer: AudioBuffer): void;
  /** Counts it no more; returns its bytes, `undefined` if nothing was tracked. */
  untrackBuffer(id: string): number | undefined;
  /** Marks `id` as just used, so that `evictToSize` takes it last. */
  touch(id: string): boolean;
  trackNode(): void;
  untrackNode(): void;
  /** Bytes charged now. */
  getEstimatedMemory(): number;
  getStats(): Required<AudioMemoryStats>;
  /** Changes the budget; returns the bytes that are over it all the same. */
  setBudget(bytes: number): number;
  /** Tracks only the ids in `keepIds` from now on; returns the bytes of the others. */
  cleanup(keepIds: Iterable<string>): number;
  /** Brings the use down to so many bytes: what waits in pools first, then tracked ids, the longest unused first, which it returns. */
  evictToSize(targetSizeBytes: number): string[];
  /** `1.50 KiB` */
  formatBytes(bytes: number): string;
  logStats(): void;
  /** The stats as text. */
  report(): string;
  resetPeak(): void;
  clear(): void;
  free(): void;
}
export interface AudioMemoryManager extends Reports<Required<AudioMemoryStats>> {}

/** How an audio context is doing. What cannot be known is `null`, never a guess. `getMetrics()` has all of it. */
export interface AudioPerformanceMetrics {
  contextTime: number;
  baseLatency: number | null;
  outputLatency: number | null;
  /** The browser's own count since the last reset. */
  bufferUnderruns: number | null;
  underrunSeconds?: number | null;
  /** The part of the available time that rendering took, over the latest two seconds measured; above 1 the thread cannot keep up. */
  processingLoad: number | null;
  /** Milliseconds between callbacks of the sound device. */
  averageCallbackTime: number | null;
  quanta?: number;
  /**
   * How the load was distributed since the last reset, over stretches of a quarter of a second; percentiles are at most 3.2 %
   * too large, `max` is exact, and `count` is the number of stretches.
   */
  loads?: Record<"p50" | "p95" | "p99" | "max" | "count", number> | null;
}

/** One callback of the sound device. `getTimingHistory()` has all of it. */
export interface CallbackTiming {
  /** Context time of its first frame, in seconds. */
  timestamp: number;
  /** Milliseconds since the callback before it began. */
  duration: number | null;
  /** Milliseconds spent rendering. */
  busy?: number;
  frames?: number;
}

/** Watches one live audio context. */
export class AudioPerformanceProfiler {
  /**
   * @param options - `moduleUrl`: where the package's `timing.js` is served, for pages that forbid modules from a blob, as
   * `script-src 'self' 'wasm-unsafe-eval'` does
   */
  constructor(context: AudioContext, options?: { moduleUrl?: string | URL });
  /** Begins to measure the load. */
  startMonitoring(): Promise<void>;
  stopMonitoring(): void;
  readonly isMonitoring: boolean;
  getMetrics(): Required<AudioPerformanceMetrics>;
  /** For `JSON.stringify`: the metrics. */
  toJSON(): Required<AudioPerformanceMetrics>;
  /** In seconds; `input` is another name of `base`. */
  getLatencyInfo(): Record<"input" | "base" | "output" | "total", number | null>;
  /** The latest 1000 callbacks, oldest first. */
  getTimingHistory(): Required<CallbackTiming>[];
  resetStats(): void;
  logMetrics(): void;
  dispose(): void;
  free(): void;
}

/** Calls `callback` once, when `source` ends (not if it has ended before): the place to release what a voice held. */
export function whenEnded(source: AudioScheduledSourceNode, callback: () => void): void;

/**
 * Does now what is to be done when `source` ends: callbacks of {@link whenEnded}, and what {@link AudioBufferPool.play} holds.
 * For a source that will never be started, or that a closed context has silenced. Nothing is left for its end.
 */
export function endNow(source: AudioScheduledSourceNode): void;

/** What a release does with each type of node, by interface. */
export function nodeTypes(): Record<
  string,
  "stateless" | "sync-reset" | "rest" | "flush" | "protocol" | "one-shot" | "discard"
>;
