// The floor of both modes: what a page costs that makes nothing for a voice but its source, the one node that plays once and that
// no pool can give again. All of them play one buffer into one node, and nothing is told when they end. At a rate of 0 it is
// the page alone.

/** Seconds for which sources are started in advance, as the sequencer does. */
const AHEAD = 0.1;
/** Frames of a source, as of a short voice. */
const FRAMES = 4800;

export class Sources {
  /** Sources that play into `output`. */
  constructor(context, output) {
    this.context = context;
    this.output = new GainNode(context, { gain: 0.05 });
    this.output.connect(output);
    this.buffer = new AudioBuffer({ length: FRAMES, numberOfChannels: 2, sampleRate: context.sampleRate });
    for (let channel = 0; channel < 2; channel++) {
      const samples = this.buffer.getChannelData(channel);
      for (let frame = 0; frame < FRAMES; frame++) samples[frame] = (Math.random() - 0.5) * (1 - frame / FRAMES) ** 4;
    }
    this.playing = false;
    this.rate = 0;
    this.next = 0;
    this.resetStats();
  }

  start(rate) {
    this.rate = rate;
    this.next = this.since = this.context.currentTime;
    this.playing = true;
  }

  /** Those that are started play to their end, a fifth of a second at most. */
  stop() {
    this.played = this.seconds;
    this.playing = false;
  }

  setRate(rate) {
    this.rate = rate;
  }

  resetStats() {
    this.voices = 0;
    this.busyMs = 0;
    this.played = 0;
    this.since = this.context.currentTime;
  }

  /** Seconds that were played since the last reset. */
  get seconds() {
    return this.played + (this.playing ? this.context.currentTime - this.since : 0);
  }

  tick() {
    if (!this.playing || this.rate === 0) return;
    const begin = performance.now();
    const { context, buffer, output } = this;
    const now = context.currentTime;
    // What was missed while the timer was held up is left out.
    if (this.next < now) this.next = now;
    for (; this.next < now + AHEAD; this.next += 1 / this.rate) {
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(output);
      source.start(this.next);
      this.voices++;
    }
    this.busyMs += performance.now() - begin;
  }
}
