// The package as its users see it: code that was written for the design note, and what the package has beyond it.
import {
  AudioBufferPool,
  AudioMemoryManager,
  AudioNodePool,
  AudioNodePoolManager,
  AudioPerformanceProfiler,
  PoolError,
  type PoolErrorCode,
  type SampleLease,
  SampleCache,
  endNow,
  nodeTypes,
  whenEnded,
} from "pool-web";
import { Voices } from "./note";

declare global {
  interface Window {
    poolWebCheck: Promise<string[]>;
    poolWebChurn: (rounds: number) => Promise<void>;
    poolWebForget: () => Promise<void>;
    poolWebForgotten: () => boolean;
  }
}

function equal<T>(actual: T, expected: T, what: string): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

function refused(code: PoolErrorCode, work: () => unknown): PoolError {
  try {
    work();
  } catch (error) {
    if (!(error instanceof PoolError)) throw error;
    equal(error.code, code, "the code");
    equal(error.name, "PoolError", "the name");
    return error;
  }
  throw new Error(`it was not refused with ${code}`);
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function until(what: string, done: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 250; attempt++) {
    if (done()) return;
    await sleep(20);
  }
  throw new Error(`waited in vain for: ${what}`);
}

async function rejected(code: PoolErrorCode, work: Promise<unknown>): Promise<PoolError> {
  const error = await work.then(() => undefined, (error: unknown) => error);
  return refused(code, () => {
    if (error !== undefined) throw error;
  });
}

/** A mono WAV file of so many frames of 16 bits. */
function wav(frames: number): ArrayBuffer {
  const bytes = new DataView(new ArrayBuffer(44 + 2 * frames));
  const text = (at: number, word: string) => [...word].forEach((c, i) => bytes.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * frames, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  [1, 1].forEach((half, i) => bytes.setUint16(20 + 2 * i, half, true));
  bytes.setUint32(24, context.sampleRate, true);
  bytes.setUint32(28, 2 * context.sampleRate, true);
  [2, 16].forEach((half, i) => bytes.setUint16(32 + 2 * i, half, true));
  text(36, "data");
  bytes.setUint32(40, 2 * frames, true);
  return bytes.buffer as ArrayBuffer;
}

const context = new AudioContext();
const inFirefox = navigator.userAgent.includes("Firefox");

const checks: Record<string, () => void | Promise<void>> = {
  "the design note's manager": async () => {
    const manager = new AudioNodePoolManager(context);
    // Chromium empties filters at once; in Firefox they rest.
    const atOnce = await manager.ready();
    equal(atOnce, !inFirefox, "filters are reset at once");
    const gain: GainNode = manager.acquireGain();
    const filter: BiquadFilterNode = manager.acquireFilter();
    const delay: DelayNode = manager.acquireDelay();
    const panner: StereoPannerNode = manager.acquirePanner();
    gain.gain.value = 0.25;
    filter.type = "highpass";
    equal(delay.delayTime.maxValue, 5, "the design note's line");
    panner.pan.value = -1;
    manager.releaseGain(gain);
    manager.releaseFilter(filter);
    manager.releaseDelay(delay);
    manager.releasePanner(panner);
    const stats = manager.getStats();
    equal([stats.gain.total, stats.gain.inUse, stats.gain.available], [1, 0, 1], "the gains");
    equal([stats.delay.available, stats.delay.quarantined], [0, 1], "a delay rests");
    equal(manager.acquireGain() === gain, true, "the same gain");
    equal(gain.gain.value, 1, "as if it were new");
    equal([stats.filter.available, stats.filter.quarantined], atOnce ? [1, 0] : [0, 1], "the filters");
    equal(manager.acquireFilter().type, "lowpass", "the filter too");
    manager.clear();
    manager.dispose();
    refused("pool-closed", () => manager.acquireGain());
  },

  "code that was written for the design note": async () => {
    const voices = new Voices(context);
    let over = 0;
    for (let i = 0; i < 3; i++) voices.strike(() => over++);
    equal(voices.inUse(), 6, "three buffers and three gains");
    await until("the end of three voices", () => over === 3);
    equal([voices.inUse(), voices.gains.getStats().available], [0, 3], "all is back");
  },

  "infinite is no bound": () => {
    const options = { maxSize: Infinity, maxNodes: Infinity, idleSeconds: Infinity };
    const gains = new AudioNodePool(context, (ctx) => ctx.createGain(), null, options);
    const manager = new AudioNodePoolManager(context, Infinity);
    const buffers = new AudioBufferPool(context, { maxPoolSize: Infinity });
    const counts = [gains.prewarm(30), manager.prewarm(30, 0, 0), buffers.prewarm(1, 128, 30)];
    equal(counts, [30, 30, 30], "more than the usual 20");
    const waiting = [gains.getStats(), manager.getStats().gain, buffers.getStats()].map((stats) => stats.available);
    equal(waiting, [30, 30, 30], "all of them wait");
    // Each has a budget of its own.
    const most = 2 ** 32 - 1;
    const warnings: number[] = [];
    const memories = [
      new AudioMemoryManager(Infinity, (usage) => warnings.push(usage)),
      new AudioMemoryManager(undefined, (usage) => warnings.push(usage), Infinity),
      new AudioMemoryManager(Infinity, (usage) => warnings.push(usage), { budgetBytes: 1000 }),
    ];
    equal(memories.map((memory) => memory.getStats().budget), [most, most, 1000], "all that can be addressed");
    for (const memory of memories) memory.setBudget(Infinity);
    equal(memories.map((memory) => memory.getStats().budget), [most, most, most], "all of it, later");
    const song = context.createBuffer(2, 20_000_000, 48000);
    for (const memory of memories) memory.trackBuffer("song", song);
    equal(warnings, [], "nobody warns");
  },

  "a factory that makes no node": () => {
    for (const made of [null, undefined, {}, Promise.resolve(context.createGain())]) {
      const pool = new AudioNodePool(context, () => made as unknown as GainNode);
      equal(refused("not-a-node", () => pool.acquire()).message, "the factory made no AudioNode", "the text");
      refused("not-a-node", () => pool.prewarm(1));
      equal(pool.getStats().total, 0, "nothing is kept");
    }
    // Once told, it is not told again of what comes later.
    let turn = 0;
    const pool = new AudioNodePool(context, (ctx) => (turn++ ? ctx.createGain() : ({} as GainNode)), null, { maxNodes: 1 });
    refused("not-a-node", () => pool.acquire());
    pool.acquire();
    refused("exhausted", () => pool.acquire());
  },

  "nothing is of use after free": () => {
    const memory = new AudioMemoryManager();
    const pools = [
      new AudioNodePool(context, (ctx) => ctx.createGain()),
      new AudioNodePoolManager(context),
      new AudioBufferPool(context),
      memory,
    ];
    for (const pool of pools) {
      pool.free();
      refused("pool-closed", () => pool.getStats());
      refused("pool-closed", () => pool.clear());
    }
    const profiler = new AudioPerformanceProfiler(context);
    profiler.free();
    refused("pool-closed", () => profiler.getMetrics());
  },

  "every other type": () => {
    const manager = new AudioNodePoolManager(context, { maxSize: 4, maxNodes: 8 });
    const all: AudioNode[] = [
      manager.acquireSpatialPanner(),
      manager.acquireConvolver(),
      manager.acquireWaveShaper(),
      manager.acquireAnalyser(),
      manager.acquireIIRFilter([1], [1, -0.5]),
      manager.acquireIIRFilter(new Float64Array([1]), new Float32Array([1, -0.5])),
      manager.acquireSplitter(3),
      manager.acquireMerger(),
    ];
    for (const node of all) manager.release(node);
    equal(refused("bad-channels", () => manager.acquireSplitter(33)).details["channels"], 33, "the number");
    refused("bad-filter", () => manager.acquireIIRFilter([], [1]));
    refused("bad-delay", () => manager.acquireDelay(500));
    equal(nodeTypes()["OscillatorNode"], "one-shot", "a type's class");
    manager.free();
  },

  "a pool with factory and resetter": async () => {
    let resets = 0;
    const pool = new AudioNodePool(
      context,
      (ctx) => ctx.createGain(),
      (node) => {
        node.gain.value = 0.5;
        resets++;
      },
      4,
    );
    const node: GainNode = pool.acquire();
    node.gain.value = 0.25;
    pool.release(node);
    equal(resets, 1, "the resetter ran");
    equal(pool.acquire() === node, true, "the same node");
    equal(node.gain.value, 0.5, "what the resetter set");
    node.gain.setValueCurveAtTime([0, 1], context.currentTime, 60);
    const began = context.currentTime;
    node.connect(context.destination);
    await until("the curve is in flight", () => context.currentTime > began + 0.1);
    pool.release(node);
    // Firefox cannot cancel a curve in flight: such a node is given up.
    equal([pool.getStats().discarded, pool.takeFailure() !== undefined], inFirefox ? [1, true] : [0, false], "a curve");
    refused("released-twice", () => pool.release(node));
    refused("unknown", () => pool.release(context.createGain()));
    const other = new AudioNodePool(context, (ctx) => ctx.createGain(), null, { maxNodes: 1 });
    const foreign = other.acquire();
    refused("foreign", () => pool.release(foreign));
    const exhausted = refused("exhausted", () => other.acquire());
    equal(exhausted.details, { inUse: 1, limit: 1 }, "the numbers");
    equal(exhausted.message, "all of 1 objects are in use (1 leased)", "the text");
    const failing = new AudioNodePool<GainNode>(context, () => {
      throw new RangeError("out of order");
    });
    const failed = refused("exception", () => failing.acquire());
    equal(failed.message, "node factory failed: RangeError: out of order", "the exception");
    const broken = new AudioNodePool(context, (ctx) => ctx.createGain(), () => false);
    broken.release(broken.acquire());
    equal(broken.getStats().discarded, 1, "the resetter's word counts");
    refused("not-poolable", () => new AudioNodePool(context, (ctx) => ctx.createOscillator()).acquire());
    refused("not-poolable", () => new AudioNodePool(context, (ctx) => ctx.createDynamicsCompressor()).acquire());
    refused("bad-option", () => new AudioNodePool(context, (ctx) => ctx.createGain(), null, -1));
  },

  "connections and listeners go with a release": () => {
    const manager = new AudioNodePoolManager(context);
    const [source, lfo] = [context.createGain(), context.createGain()];
    const gain = manager.acquireGain();
    const filter = manager.acquireFilter();
    manager.connect(source, gain);
    manager.connect(gain, filter, 0, 0);
    manager.connectParam(lfo, gain, "gain");
    manager.rampTo(gain, "gain", 0, context.currentTime + 1);
    let heard = 0;
    manager.listen(gain, "bang", () => heard++);
    gain.dispatchEvent(new Event("bang"));
    manager.releaseGain(gain);
    gain.dispatchEvent(new Event("bang"));
    equal(heard, 1, "heard once");
    for (const cut of [() => source.disconnect(gain), () => lfo.disconnect(gain.gain), () => gain.disconnect(filter)]) {
      let threw = false;
      try {
        cut();
      } catch {
        threw = true;
      }
      equal(threw, true, "it was cut");
    }
    refused("released-twice", () => manager.connect(source, gain));
    refused("unknown-param", () => manager.connectParam(lfo, filter, "volume"));
    manager.releaseFilter(filter);
  },

  "buffers play, and come back": async () => {
    const memory = new AudioMemoryManager(undefined, undefined, { budgetBytes: 100_000 });
    const pool = new AudioBufferPool(context, { memory, maxPoolSize: 4 });
    const buffer: AudioBuffer = pool.acquire(2, 480);
    equal([buffer.numberOfChannels, buffer.length, buffer.sampleRate], [2, 480, context.sampleRate], "the shape");
    buffer.getChannelData(1).fill(0.5);
    const source = context.createBufferSource();
    pool.play(buffer, source);
    let ended = 0;
    whenEnded(source, () => ended++);
    source.connect(context.destination);
    source.start();
    pool.release(buffer);
    equal(pool.getStats().inUse, 1, "it plays");
    await until("the end", () => ended === 1 && pool.getStats().available === 1);
    equal(pool.acquire(2, 480) === buffer, true, "the same buffer");
    equal(buffer.getChannelData(1)[479], 0, "silent");
    pool.release(buffer);
    refused("released-twice", () => pool.release(buffer));
    refused("unknown", () => pool.release(context.createBuffer(1, 1, 48000)));
    refused("bad-buffer", () => pool.acquire(0, 128));
    const over = refused("over-budget", () => pool.acquire(2, 48000));
    equal(over.details, { requested: 384_000, free: 96_160, limit: 100_000 }, "the numbers");
    equal(
      over.message,
      'account "audio" refused 375.00 KiB (384000 bytes): 3.75 KiB of 97.66 KiB in use, 93.91 KiB free, 3.75 KiB evictable',
      "the text",
    );
    equal(memory.getStats().estimatedBufferMemory, 2 * 480 * 4, "what is charged");
    pool.dispose();
    equal(memory.getEstimatedMemory(), 0, "nothing is left");
  },

  "the design note's memory": () => {
    const warnings: number[] = [];
    const memory = new AudioMemoryManager(1, (usage) => warnings.push(usage));
    const buffer = context.createBuffer(2, 100_000, 48000);
    memory.trackBuffer("song", buffer);
    memory.trackBuffer("other", buffer);
    equal(warnings, [1_600_000], "one warning");
    memory.trackNode();
    const { activeNodes, cachedBuffers, peakMemory } = memory.getStats();
    equal([activeNodes, cachedBuffers, peakMemory], [1, 2, 1_600_000], "the stats");
    // As Rust's `Bytes` prints them.
    for (const [bytes, text] of [
      [0, "0 B"],
      [1023, "1023 B"],
      [1029, "1.00 KiB"],
      [1030, "1.01 KiB"],
      [1536, "1.50 KiB"],
      [1024 * 1024 - 6, "1023.99 KiB"],
      [1024 * 1024 - 1, "1.00 MiB"],
      [2 ** 30, "1.00 GiB"],
    ] as const) {
      equal(memory.formatBytes(bytes), text, "bytes in words");
    }
    equal(memory.report().split("\n")[3], "Tracked: 1.53 MiB", "the report");
    const freed = new AudioMemoryManager();
    freed.free();
    refused("bad-option", () => new AudioBufferPool(context, { memory: freed }));
    memory.touch("song");
    equal(memory.evictToSize(800_000), ["other"], "the longest unused");
    equal(memory.cleanup(new Set<string>()), 800_000, "what was freed");
    equal(memory.untrackBuffer("song"), undefined, "it is gone");
  },

  // Catches: ids and bytes that do not go together, and a callback that comes too early to find what it is about.
  "what is tracked is counted once": () => {
    const buffer = context.createBuffer(2, 100_000, 48000);
    const gone: string[][] = [];
    const memory: AudioMemoryManager = new AudioMemoryManager(1, () => gone.push(memory.evictToSize(0)));
    memory.trackBuffer("song", buffer);
    memory.trackBuffer("song", buffer);
    equal(memory.getEstimatedMemory(), 800_000, "it replaces itself");
    memory.trackBuffer("other", buffer);
    equal(gone, [["song", "other"]], "the callback lets both go");
    equal([memory.touch("song"), memory.getEstimatedMemory()], [false, 0], "nothing is left");
    memory.trackBuffer("a", buffer);
    equal([memory.touch("a"), memory.untrackBuffer("a"), memory.untrackBuffer("a")], [true, 800_000, undefined], "once");
    const endless = new AudioMemoryManager(Infinity, undefined, Infinity);
    // A real one would take the gigabyte.
    const hour = { numberOfChannels: 8, length: 32_000_000, getChannelData() {} } as unknown as AudioBuffer;
    for (const id of ["a", "b", "c", "d"]) endless.trackBuffer(id, hour);
    refused("over-budget", () => endless.trackBuffer("e", hour));
    equal([endless.getStats().cachedBuffers, endless.cleanup(["b", "e"])], [4, 3 * 1_024_000_000], "the refused one is not there");
    endless.clear();
    equal([endless.getStats().cachedBuffers, endless.getEstimatedMemory()], [0, 0], "nor is anything");
    endless.free();
    refused("pool-closed", () => endless.trackBuffer("a", buffer));
    refused("pool-closed", () => endless.untrackBuffer("a"));
    refused("pool-closed", () => endless.touch("a"));
    refused("pool-closed", () => endless.cleanup([]));
  },

  "sounds are decoded once, and leased": async () => {
    const memory = new AudioMemoryManager();
    const sounds = new SampleCache(context, { memory });
    equal(sounds.get("kick"), undefined, "it is not there");
    // The second asks while the first is under way, and its bytes are left alone.
    const spare = wav(4800);
    const [kick, same] = await Promise.all([sounds.decode("kick", wav(4800)), sounds.decode("kick", spare)]);
    equal([kick.buffer === same.buffer, spare.byteLength > 0], [true, true], "decoded once");
    equal([kick.id, kick.buffer.length], ["kick", 4800], "the sound");
    const third: SampleLease | undefined = sounds.get("kick");
    for (const { release } of [kick, same]) release();
    refused("released-twice", () => kick.release());
    const bytes = 4 * 4800;
    equal([memory.getStats().inUse, memory.getStats().available], [bytes, 0], "one lease is left");
    third?.release();
    equal([memory.getStats().inUse, memory.getStats().available], [0, bytes], "none is left");
    const stats = { total: 1, inUse: 0, available: 1, bytes, created: 1, destroyed: 0, hits: 1, misses: 3 };
    equal(sounds.getStats(), stats, "the stats");
    equal(JSON.stringify(sounds), JSON.stringify(stats), "as JSON");
    const late = await sounds.decode("kick", new ArrayBuffer(0));
    sounds.clear();
    equal(sounds.getStats().total, 1, "what is leased stays");
    sounds.free();
    equal(memory.getEstimatedMemory(), 0, "the budget has it back");
    late.release();
  },

  "what cannot be decoded costs nothing": async () => {
    const memory = new AudioMemoryManager();
    const sounds = new SampleCache(context, { memory });
    const noise = await rejected("exception", sounds.decode("noise", new ArrayBuffer(7)));
    equal(noise.details, { operation: "decodeAudioData", exception: "EncodingError" }, "what failed");
    const missing = await rejected("exception", sounds.decodeUrl("/there-is-no-such-sound"));
    equal([missing.details["operation"], missing.message.includes("404")], ["fetch", true], "what the server said");
    equal([memory.getEstimatedMemory(), sounds.getStats().created], [0, 0], "nothing is kept");
    (await sounds.decode("noise", wav(480))).release();
    const url = URL.createObjectURL(new Blob([wav(480)]));
    const [first, second] = [await sounds.decodeUrl(url), await sounds.decodeUrl(url)];
    equal([first.id === url, first.buffer === second.buffer], [true, true], "from an address");
    equal(memory.getEstimatedMemory(), 2 * 4 * 480, "two sounds");
    refused("bad-option", () => new SampleCache(context, { memory: {} as AudioMemoryManager }));
  },

  "sounds nobody has make room, the oldest first": async () => {
    const warnings: number[] = [];
    const bytes = 4 * 4800;
    const memory = new AudioMemoryManager(undefined, (usage) => warnings.push(usage), { budgetBytes: 3 * bytes });
    const sounds = new SampleCache(context, { memory });
    const decode = (id: string) => sounds.decode(id, wav(4800));
    for (const id of ["a", "b", "c"]) (await decode(id)).release();
    equal(warnings, [3 * bytes], "a warning");
    sounds.get("a")?.release();
    const held = [sounds.get("b"), await decode("d")];
    equal(sounds.get("c"), undefined, "given back longest ago");
    held.push(await decode("e"));
    equal([sounds.get("a"), memory.getStats().overBudget], [undefined, 0], "the next");
    const over = await decode("f");
    equal(memory.getStats().overBudget, bytes, "what exists counts");
    over.release();
    equal([memory.getStats().overBudget, memory.getEstimatedMemory()], [0, 3 * bytes], "back under");
    for (const lease of held) lease?.release();
    new AudioBufferPool(context, { memory }).acquire(1, 2 * 4800);
    equal([sounds.getStats().available, sounds.getStats().destroyed], [1, 5], "pools get the room");
  },

  "a sound somebody waits for is not thrown away": async () => {
    // Two come at the same moment, and do not both fit.
    const offline = new OfflineAudioContext(1, 1, 48000);
    const both = sleep(20).then(() => offline.createBuffer(1, 480, 48000));
    offline.decodeAudioData = () => both;
    const memory = new AudioMemoryManager(undefined, undefined, 1000);
    const sounds = new SampleCache(offline, { memory });
    const decode = (id: string) => sounds.decode(id, new ArrayBuffer(8));
    const leases = await Promise.all([decode("one"), decode("other")]);
    equal([sounds.getStats().inUse, memory.getEstimatedMemory()], [2, 2 * 4 * 480], "both are leased");
    for (const lease of leases) lease.release();
    equal(memory.getEstimatedMemory(), 0, "neither fits");
  },

  "what is out goes on without its pool": async () => {
    const nodes = new AudioNodePoolManager(context);
    const other = new AudioNodePoolManager(context);
    const [source, gain] = [context.createConstantSource(), nodes.acquireGain()];
    gain.gain.value = 0.25;
    nodes.connect(source, gain);
    nodes.free();
    equal(gain.gain.value, 0.25, "nothing was reset");
    source.disconnect(gain); // throws if they were cut
    refused("unknown", () => other.releaseGain(gain));
  },

  "a bus lets go of what it was fed by": () => {
    const nodes = new AudioNodePoolManager(context);
    const [source, bus] = [context.createConstantSource(), nodes.acquireGain()];
    nodes.connect(source, bus);
    nodes.connectParam(source, bus, "gain");
    nodes.disconnect(source, bus);
    let cut = 0;
    for (const target of [bus, bus.gain]) {
      try {
        source.disconnect(target as AudioNode);
      } catch {
        cut++;
      }
    }
    equal(cut, 2, "both were cut");
    nodes.releaseGain(bus);
    equal(nodes.takeFailure(), undefined, "the release has nothing left to cut");
  },

  "a source that never ends": async () => {
    const buffers = new AudioBufferPool(context);
    const [buffer, source] = [buffers.acquire(1, 480), context.createBufferSource()];
    const heard: string[] = [];
    const later: unknown[] = [];
    const listen = (event: ErrorEvent) => {
      event.preventDefault();
      later.push(event.error);
    };
    addEventListener("error", listen);
    const fault = new Error("a user's");
    whenEnded(source, () => {
      throw fault;
    });
    buffers.play(buffer, source);
    whenEnded(source, () => heard.push("end"));
    buffers.release(buffer);
    equal(buffers.getStats().inUse, 1, "it may be heard yet");
    endNow(source);
    equal([buffers.getStats().inUse, heard], [0, ["end"]], "all was done, whatever the first has thrown");
    await until("the error", () => later[0] === fault);
    removeEventListener("error", listen);
  },

  "what is no context, source or buffer": async () => {
    refused("bad-option", () => new AudioNodePoolManager(null as never));
    refused("bad-option", () => new AudioNodePool({} as never, () => context.createGain()));
    refused("bad-option", () => new AudioBufferPool(undefined as never));
    new AudioNodePoolManager(context).acquireGain();
    const buffers = new AudioBufferPool(context);
    const buffer = buffers.acquire(1, 480);
    refused("bad-option", () => buffers.play(buffer, {} as never));
    buffers.release(buffer);
    const memory = new AudioMemoryManager();
    refused("bad-option", () => memory.trackBuffer("a", undefined as never));
    memory.free();
    equal(refused("bad-buffer", () => buffers.acquire(-1, 2 ** 32 + 128)).details, { channels: -1, length: 2 ** 32 + 128, sampleRate: context.sampleRate }, "as given");
    refused("bad-option", () => whenEnded(null as never, () => {}));
    refused("bad-option", () => whenEnded(context.createGain() as never, () => {}));
    refused("bad-option", () => whenEnded(context.createOscillator(), null as never));
    refused("bad-option", () => new AudioNodePool(context, null as never));
  },

  "a node is out once": () => {
    const node = context.createGain();
    const pool = new AudioNodePool(context, () => node);
    pool.acquire();
    refused("foreign", () => pool.acquire());
  },

  // Catches: a budget for each pool, which lets a page take several times what it should.
  "what is given no budget shares one": () => {
    const nodes = new AudioNodePoolManager(context);
    const refusal = refused("over-budget", () => {
      for (let line = 0; line < 100; line++) nodes.acquireDelay(5);
    });
    equal(refusal.details.limit, 96_000_000, "by default");
    refused("over-budget", () => new AudioNodePoolManager(context).acquireDelay(5));
    const buffers = new AudioBufferPool(context);
    refused("over-budget", () => buffers.acquire(2, 480_000));
    const memory = new AudioMemoryManager();
    new AudioNodePoolManager(context, { memory }).acquireDelay(5);
    new AudioNodePool(context, (ctx) => ctx.createDelay(5)).acquire();
    nodes.dispose();
    // What is out is the user's; it was charged as long as the pool knew of it.
    nodes.free();
    buffers.discard(buffers.acquire(2, 480_000));
  },

  // Catches: codes that the WASM and `error.js` number differently.
  "a closed context": async () => {
    const closed = new AudioContext();
    const nodes = new AudioNodePoolManager(closed);
    await closed.close();
    const refusal = refused("context-closed", () => nodes.acquireGain());
    equal(refusal.message, "acquire: the audio context is closed", "what it says");
  },

  // Catches: a detached node that is cut, or still counted; a trim or a bound that is forgotten on the way.
  "nodes leave their pool": () => {
    const nodes = new AudioNodePoolManager(context, { maxQuarantined: 2 });
    const [kept, target] = [nodes.acquireGain(), nodes.acquireGain()];
    nodes.connect(kept, target);
    nodes.detach(kept);
    equal([nodes.getStats().gain.inUse, nodes.getStats().gain.total], [1, 1], "one is the pool's");
    refused("unknown", () => nodes.release(kept));
    refused("unknown", () => nodes.detach(kept));
    // It throws if nothing is connected.
    kept.disconnect(target);
    const pool = new AudioNodePool(context, () => kept, null, { maxQuarantined: Infinity });
    equal(pool.acquire(), kept, "another pool may have it");
    nodes.release(target);
    for (const gain of [nodes.acquireGain(), nodes.acquireGain(), nodes.acquireGain()]) nodes.release(gain);
    equal([nodes.trim(1), nodes.getStats().gain.available], [2, 1], "the longest waiting go");
    equal([nodes.trim(Infinity), nodes.getStats().gain.available], [0, 1], "no bound");
    for (const none of [NaN, -1]) refused("bad-option", () => nodes.trim(none));
    for (const delay of [1, 2, 3].map((line) => nodes.acquireDelay(line))) nodes.release(delay);
    equal([nodes.getStats().delay.quarantined, nodes.getStats().delay.discarded], [2, 1], "no more may rest");
  },

  // Catches: delays of another length than is asked for, and a warning that only acquires tell.
  "delays are made ahead, and the budget tells": () => {
    const told: string[] = [];
    const memory = new AudioMemoryManager(3, () => told.push("warning"), {
      budgetBytes: 10_000_000,
      onRecovery: () => told.push("recovery"),
    });
    const nodes = new AudioNodePoolManager(context, { memory });
    equal([nodes.prewarmDelays(1), nodes.prewarmDelays(2), told], [1, 1, ["warning"]], "two of 5 s");
    nodes.acquireDelay();
    equal(nodes.getStats().delay.hits, 1, "the default line");
    equal(nodes.prewarmDelays(1, 0.5), 1, "a line of its own");
    nodes.acquireDelay(0.5);
    equal(nodes.getStats().delay.hits, 2, "the other line");
    nodes.free();
    equal([told, memory.getStats().estimatedBufferMemory], [["warning", "recovery"], 0], "it was freed");
  },

  // Catches: `instanceof` a class of this window.
  "contexts of other windows": async () => {
    const frame = document.createElement("iframe");
    document.body.append(frame);
    const theirs = frame.contentWindow as Window & typeof globalThis;
    const other = new theirs.AudioContext();
    const pool = new AudioNodePool(other, (ctx) => ctx.createGain());
    const node = pool.acquire();
    equal([node instanceof theirs.GainNode, node instanceof GainNode], [true, false], "of their window");
    pool.connect(other.createGain(), node);
    pool.release(node);
    equal(pool.acquire() === node, true, "the same node");
    await other.close();
    frame.remove();
  },

  "a shaper comes back, also after ready()": async () => {
    const nodes = new AudioNodePoolManager(context);
    const works = await nodes.ready();
    nodes.releaseWaveShaper(nodes.acquireWaveShaper());
    nodes.acquireWaveShaper();
    equal([nodes.getStats().waveShaper.hits, works], [works ? 1 : 0, works], "as the browser can");
  },

  "reports as JSON": () => {
    const memory = new AudioMemoryManager(undefined, undefined, 1_000_000);
    memory.trackBuffer("song", context.createBuffer(1, 1000, 48000));
    const expected =
      '{"estimatedBufferMemory":4000,"activeNodes":0,"cachedBuffers":1,"peakMemory":4000,"inUse":0,"available":0,' +
      '"tracked":4000,"budget":1000000,"overBudget":0,"idleNodes":0}';
    equal(JSON.stringify(memory), expected, "the memory");
    const nodes = new AudioNodePoolManager(context, { memory });
    const pool = new AudioNodePool(context, (ctx) => ctx.createGain());
    const buffers = new AudioBufferPool(context, { memory });
    equal(JSON.stringify([nodes, pool, buffers]), JSON.stringify([nodes.getStats(), pool.getStats(), buffers.getStats()]), "pools");
    const profiler = new AudioPerformanceProfiler(context);
    equal(JSON.parse(JSON.stringify(profiler)).loads, null, "what is not known");
  },

  "the design note's profiler": async () => {
    const profiler = new AudioPerformanceProfiler(context);
    await profiler.startMonitoring();
    equal(profiler.isMonitoring, true, "it monitors");
    await until("quanta", () => profiler.getMetrics().quanta > 500);
    const metrics = profiler.getMetrics();
    // Firefox reports a base latency of 0, and so nobody knows what the device asks for at a time.
    const known = context.baseLatency > 0;
    equal(profiler.getTimingHistory().length > 4, known, "callbacks");
    equal(metrics.baseLatency, context.baseLatency, "the context's latency");
    equal(profiler.getLatencyInfo().input, context.baseLatency, "by the design note's name");
    equal(typeof metrics.processingLoad, known ? "number" : "object", "a load, or null");
    if (known) await until("loads", () => (profiler.getMetrics().loads?.count ?? 0) > 1);
    const { loads } = profiler.getMetrics();
    equal(loads !== null, known, "loads, or null");
    if (loads) {
      const { p50, p95, p99, max } = loads;
      equal([0 <= p50, p50 <= p95, p95 <= p99, p99 <= max, max < 10], [true, true, true, true, true], "percentiles");
    }
    profiler.stopMonitoring();
    profiler.resetStats();
    equal([profiler.getTimingHistory(), profiler.getMetrics().loads], [[], null], "nothing is left");
    profiler.dispose();
  },
};

async function run(): Promise<string[]> {
  await context.resume();
  const passed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
    } catch (error) {
      throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    passed.push(name);
  }
  return passed;
}

const churned = new AudioNodePoolManager(context);

/** Acquires and releases, of chains of three and of delays, with breaths for the audio thread. */
window.poolWebChurn = async (rounds) => {
  for (let round = 0; round < rounds; round += 4) {
    const [filter, gain, panner] = [churned.acquireFilter(), churned.acquireGain(), churned.acquirePanner()];
    const delay = churned.acquireDelay(0.01);
    churned.connect(filter, gain);
    churned.connect(gain, panner);
    churned.connect(gain, delay);
    panner.connect(context.destination);
    for (const node of [gain, delay, filter, panner]) churned.release(node);
    if (round % 400 === 0) await sleep(1);
  }
  // Until the last delays are silent; of those only so many are kept.
  await sleep(200);
  churned.maintain();
  const { gain } = churned.getStats();
  if (gain.inUse !== 0 || gain.total > 1) throw new Error(`gains: ${JSON.stringify(gain)}`);
};

const forgotten = new SampleCache(context);

/** Who has a pool whose functions refer to its owner. */
class Owner {
  readonly pool = new AudioNodePool(context, () => this.make(), () => this.worn);
  readonly memory = new AudioMemoryManager(1, () => this.make());
  worn = false;
  make(): GainNode {
    return context.createGain();
  }
}
const owners: WeakRef<Owner>[] = [];

/** Leases that nobody releases, and pools that nobody frees. */
window.poolWebForget = async () => {
  for (let round = 0; round < 20; round++) {
    const owner = new Owner();
    owner.pool.release(owner.pool.acquire());
    owners.push(new WeakRef(owner));
  }
  for (let round = 0; round < 100; round++) await forgotten.decode("lost", wav(48));
};

/** Whether they came back or went, now that the garbage was collected; the latest owner may still be in some register. */
window.poolWebForgotten = () =>
  forgotten.getStats().inUse === 0 && owners.filter((owner) => owner.deref()).length <= 1;

window.poolWebCheck = run();
