// Written for the design note, and compiled with nothing but the import changed.
import {
  AudioBufferPool,
  AudioMemoryManager,
  type AudioMemoryStats,
  AudioNodePool,
  AudioNodePoolManager,
  type AudioPerformanceMetrics,
  AudioPerformanceProfiler,
  type CallbackTiming,
  type NodeFactory,
  type NodeResetter,
  type PooledBuffer,
  type PooledNode,
} from "pool-web";

interface Counts {
  total: number;
  inUse: number;
  available: number;
}

export interface Held {
  buffers: PooledBuffer[];
  gains: PooledNode<GainNode>[];
}

const factory: NodeFactory<GainNode> = (ctx: AudioContext) => ctx.createGain();
const resetter: NodeResetter<GainNode> = (node) => {
  node.gain.value = 1;
};
const nothingYet: AudioMemoryStats = { estimatedBufferMemory: 0, activeNodes: 0, cachedBuffers: 0, peakMemory: 0 };
const silence: AudioPerformanceMetrics = {
  contextTime: 0,
  baseLatency: 0,
  outputLatency: 0,
  bufferUnderruns: 0,
  processingLoad: 0,
  averageCallbackTime: 0,
};
const timings: CallbackTiming[] = [{ timestamp: 0, duration: 1 }];

export class Voices {
  readonly buffers: AudioBufferPool;
  readonly gains: AudioNodePool<GainNode>;
  readonly delays: AudioNodePool<DelayNode>;
  readonly nodes: AudioNodePoolManager;
  readonly memory: AudioMemoryManager;
  readonly profiler: AudioPerformanceProfiler;
  memoryStats = nothingYet;
  metrics = silence;
  timings = timings;

  constructor(private readonly context: AudioContext) {
    this.buffers = new AudioBufferPool(context, 20);
    this.gains = new AudioNodePool<GainNode>(context, factory, resetter);
    // What only a live context has.
    this.delays = new AudioNodePool(
      context,
      (ctx) => ctx.createDelay(1 + ctx.baseLatency),
      (node) => {
        node.delayTime.value = 0;
      },
      10,
    );
    this.nodes = new AudioNodePoolManager(context);
    this.memory = new AudioMemoryManager(256, (usage: number) => console.warn(usage));
    this.profiler = new AudioPerformanceProfiler(context);
  }

  strike(over: () => void): void {
    const buffer: AudioBuffer = this.buffers.acquire(2, 480);
    const [gain, filter, panner] = [this.gains.acquire(), this.nodes.acquireFilter(), this.nodes.acquirePanner()];
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(filter);
    filter.connect(panner);
    panner.connect(gain);
    gain.connect(this.context.destination);
    source.onended = () => {
      this.buffers.release(buffer);
      this.gains.release(gain);
      this.nodes.releaseFilter(filter);
      this.nodes.releasePanner(panner);
      over();
    };
    source.start();
  }

  inUse(): number {
    const buffers: { poolCount: number; totalBuffers: number; inUse: number; available: number } = this.buffers.getStats();
    const gains: Counts = this.gains.getStats();
    const stats = this.nodes.getStats();
    const same: Record<string, Counts> = stats;
    let sum = buffers.inUse + gains.inUse;
    for (const name in stats) sum += stats[name]?.inUse ?? 0;
    for (const name in same) sum -= same[name]?.inUse ?? 0;
    this.memoryStats = this.memory.getStats();
    this.metrics = this.profiler.getMetrics();
    this.timings = this.profiler.getTimingHistory();
    return sum;
  }
}

// Beyond the note: other contexts have their own factories.
export const offline = (context: OfflineAudioContext, factory: (ctx: BaseAudioContext) => GainNode) => [
  new AudioNodePool(context, factory),
  new AudioNodePool(context, (ctx) => ctx.createGain()),
];
