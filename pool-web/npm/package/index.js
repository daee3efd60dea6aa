// The WASM is fetched when this module is first imported; everything is ready when the import is.
import init from "./pool_web.js";

const url = new URL("./pool_web_bg.wasm", import.meta.url);
// Node has no fetch of files: there this module is imported only to be looked at, by test runners for example.
if (url.protocol === "file:" && typeof process !== "undefined" && process.versions?.node) {
  const { readFile } = await import(/* @vite-ignore */ "node:fs/promises");
  await init({ module_or_path: await readFile(url) });
} else {
  await init({ module_or_path: url });
}

export {
  AudioBufferPool,
  AudioMemoryManager,
  AudioNodePool,
  AudioNodePoolManager,
  AudioPerformanceProfiler,
  nodeTypes,
  whenEnded,
} from "./pool_web.js";
export { PoolError } from "./error.js";
