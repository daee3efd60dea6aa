if (!globalThis.poolWebTiming) {
  globalThis.poolWebTiming = true;
  registerProcessor("pool-web-timing", class extends AudioWorkletProcessor {
    constructor(options) {
      super();
      const { batch, pairs, written } = options.processorOptions;
      this.shared = pairs && { pairs: new Float64Array(pairs), written: new Int32Array(written) };
      this.pairs = this.shared ? this.shared.pairs : new Float64Array(2 * batch);
      this.filled = 0;
      this.count = 0;
      this.running = true;
      this.port.onmessage = () => { this.running = false; };
    }

    process() {
      this.pairs[this.filled++] = currentFrame;
      this.pairs[this.filled++] = Date.now();
      if (this.shared) Atomics.store(this.shared.written, 0, ++this.count);
      if (this.filled === this.pairs.length) {
        if (!this.shared) this.port.postMessage(this.pairs);
        this.filled = 0;
      }
      return this.running;
    }
  });
}
