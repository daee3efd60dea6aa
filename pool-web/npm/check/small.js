// What bundlers other than the project's own are tried with.
import { AudioNodePoolManager } from "pool-web";

const nodes = new AudioNodePoolManager(new AudioContext());
const first = nodes.acquireGain();
nodes.releaseGain(first);
window.poolWebCheck = Promise.resolve(nodes.acquireGain() === first ? ["a gain is used again"] : []);
