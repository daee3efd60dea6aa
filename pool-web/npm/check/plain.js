import { AudioNodePoolManager, AudioPerformanceProfiler } from "./index.js";

async function run() {
  const context = new AudioContext();
  const nodes = new AudioNodePoolManager(context);
  const first = nodes.acquireGain();
  nodes.releaseGain(first);
  if (nodes.acquireGain() !== first) throw new Error("another gain");

  const refused = await new AudioPerformanceProfiler(context).startMonitoring().then(
    () => "nothing",
    (error) => error.code,
  );
  if (refused !== "exception") throw new Error(`a module from a blob: ${refused} was thrown`);
  const profiler = new AudioPerformanceProfiler(context, { moduleUrl: new URL("./timing.js", import.meta.url) });
  await profiler.startMonitoring();
  for (let i = 0; i < 250 && profiler.getMetrics().quanta < 100; i++) await new Promise((done) => setTimeout(done, 20));
  if (profiler.getMetrics().quanta < 100) throw new Error("the profiler's module sends nothing");
  profiler.dispose();
  return ["a gain is used again", "where modules from a blob are forbidden, the profiler takes the package's file"];
}

window.poolWebCheck = run();
