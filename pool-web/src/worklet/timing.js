// Tells the main thread when each render quantum began: (frame, milliseconds) pairs, a batch per message. It
// measures nothing itself: the only clock in here is Date.now(), in steps of a millisecond, and what can be made
// of that is worked out in Rust, where it is tested.
if (!globalThis.poolWebTiming) {
  globalThis.poolWebTiming = true;
  registerProcessor("pool-web-timing", class extends AudioWorkletProcessor {
    constructor(options) {
      super();
      this.pairs = new Float64Array(2 * options.processorOptions.batch);
      this.filled = 0;
      this.running = true;
      this.port.onmessage = () => { this.running = false; };
    }

    process() {
      this.pairs[this.filled++] = currentFrame;
      this.pairs[this.filled++] = Date.now();
      if (this.filled === this.pairs.length) {
        this.port.postMessage(this.pairs);
        this.filled = 0;
      }
      return this.running;
    }
  });
}
