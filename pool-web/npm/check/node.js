// Node has no audio, but test runners and tools import the package there.
import { AudioMemoryManager } from "pool-web";

const { budget } = new AudioMemoryManager(undefined, undefined, 1000).getStats();
if (budget !== 1000) throw new Error(`a budget of 1000 became one of ${budget}`);
