// The processor with which the page tries worklet nodes: it holds a block of sound, and forgets it when it is told to.

class Forgetful extends AudioWorkletProcessor {
  constructor() {
    super();
    this.held = null;
    this.port.onmessage = ({ data }) => {
      if (data !== "forget") return;
      this.held = null;
      this.port.postMessage("forgotten");
    };
  }

  process([input], [output]) {
    if (this.held) output[0].set(this.held);
    this.held = input.length > 0 ? input[0].slice() : null;
    // As long as something leads into it, it is asked all the same.
    return false;
  }
}

registerProcessor("forgetful", Forgetful);
