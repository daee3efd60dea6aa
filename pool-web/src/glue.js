// What would take many calls from WASM, in one. Exceptions are kept here and told by a number: to hand each through the
// bindings' own try and catch costs a closure per call.

let thrown;

export function take_thrown() {
  const error = thrown;
  thrown = undefined;
  return error;
}

// A text that something thrown has, whatever that is.
export function text(thrown, name) {
  try {
    const value = thrown[name];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

export function member(object, name) {
  return object[name];
}

// A number that only some browsers tell; no number where there is none.
export function figure(object, name) {
  return object[name] ?? NaN;
}

// What the browser has counted of underruns, likewise.
export function playback(context, name) {
  try {
    return context.playbackStats[name] ?? NaN;
  } catch {
    return NaN;
  }
}

// The name of a node's class, or of the one so many steps up; undefined if there are fewer.
export function class_name(node, steps) {
  for (; node && steps > 0; steps--) node = Object.getPrototypeOf(node);
  return node ? (node.constructor?.name ?? "a node without a class") : undefined;
}

// Of a worklet node, which has those of its processor: the name and the parameter, of each.
export function worklet_params(node) {
  return typeof AudioWorkletNode === "function" && node instanceof AudioWorkletNode ? [...node.parameters] : undefined;
}

// The longest delay is the parameter's bound.
export function longest_delay(node) {
  return node.delayTime.maxValue;
}

export function is_closed(context) {
  return context.state === "closed";
}

export function connect(source, target, output, input) {
  try {
    source.connect(target, output, input);
    return true;
  } catch (error) {
    thrown = error;
    return false;
  }
}

export function connect_param(source, target, output) {
  try {
    source.connect(target, output);
    return true;
  } catch (error) {
    thrown = error;
    return false;
  }
}

export function cut(source, target, output, input) {
  try {
    source.disconnect(target, output, input);
    return true;
  } catch (error) {
    thrown = error;
    return false;
  }
}

export function cut_param(source, target, output) {
  try {
    source.disconnect(target, output);
    return true;
  } catch (error) {
    thrown = error;
    return false;
  }
}

export function make_source(context, buffer, playbackRate) {
  try {
    // With its rate from the start: to set one later, even before it plays, is an event, which it keeps until it is collected.
    return new AudioBufferSourceNode(context, { buffer, playbackRate });
  } catch (error) {
    thrown = error;
    return undefined;
  }
}

// Plays a source from a time to a time.
export function start_between(source, start, end) {
  try {
    // Once it has been started it is too late to refuse its end.
    if (!(end >= 0 && end < Infinity)) throw new RangeError("the end of a source is no time");
    source.start(start);
    source.stop(end);
    return true;
  } catch (error) {
    thrown = error;
    return false;
  }
}

export function set_source_buffer(source, buffer) {
  try {
    source.buffer = buffer;
    return true;
  } catch (error) {
    thrown = error;
    return false;
  }
}

// Automation: 0 sets a value at a time, 1 and 2 go there in a straight line and by equal ratios.
export function automate(param, kind, value, time) {
  try {
    if (kind === 0) param.setValueAtTime(value, time);
    else if (kind === 1) param.linearRampToValueAtTime(value, time);
    else param.exponentialRampToValueAtTime(value, time);
    return true;
  } catch (error) {
    thrown = error;
    return false;
  }
}

// Adds a step. A name is to be the engine's own copy: by a string that was made at run time properties are looked up slowly,
// and Chromium's compilers give up at writing one again and again.
export function add_step(plan, undoes, kind, key, value) {
  plan.push(undoes, kind, kind > 3 ? Object.keys({ [key]: 0 })[0] : key, value);
}

// The steps of a release, as they are in `recipe::Step`: four entries each, of which the first tells which traces it undoes.
// Returns the number of the step that threw, or of all; a setting is written only if it differs, since writing one waits for the audio thread, and without
// a look, which takes its time too, if it is known to differ.
export function perform(node, params, plan, traces) {
  let step = 0;
  try {
    for (; step < plan.length; step += 4) {
      if (!(plan[step] & traces)) continue;
      const key = plan[step + 2];
      const value = plan[step + 3];
      switch (plan[step + 1]) {
        case 0: node.disconnect(); break;
        case 1: params[key].cancelScheduledValues(0); break;
        case 2: params[key].value = value; break;
        case 3: {
          const rate = params[key].automationRate;
          // Where there is none (Firefox), writing it would leave a property behind that means nothing.
          if (rate !== value && rate !== undefined) params[key].automationRate = value;
          break;
        }
        case 4: if (node[key] === value) break;
        // falls through
        default: node[key] = value;
      }
    }
  } catch (error) {
    thrown = error;
  }
  return step / 4;
}

// Where nodes that still hold a signal are pulled with zeros; see `FlushBus`.
export function make_bus(context) {
  const sink = context.createGain();
  sink.gain.value = 0;
  sink.connect(context.destination);
  const zeros = context.createBufferSource();
  zeros.buffer = context.createBuffer(2, 128, context.sampleRate);
  zeros.loop = true;
  zeros.start();
  return [zeros, sink];
}

// The context's time; negative if it is closed, and its time stands still for ever.
export function time_if_open(context) {
  return is_closed(context) ? -1 : context.currentTime;
}

// Lets zeros flow through a node into a silent sink, and returns the context's time since when, as above; NaN if it throws. A
// worklet may have no inputs, or no outputs: then it is asked.
export function plug(context, node, zeros, sink, worklet) {
  try {
    if (!worklet || node.numberOfOutputs > 0) node.connect(sink);
    if (!worklet || node.numberOfInputs > 0) zeros.connect(node);
    return time_if_open(context);
  } catch (error) {
    thrown = error;
    return NaN;
  }
}

// Its outputs first: they are cut also if the zeros never came.
export function unplug(node, zeros, worklet) {
  try {
    node.disconnect();
    if (!worklet || node.numberOfInputs > 0) zeros.disconnect(node);
    return true;
  } catch (error) {
    thrown = error;
    return false;
  }
}

// The samples of each channel, without a copy.
export function channels(buffer) {
  const views = [];
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) views.push(buffer.getChannelData(channel));
  return views;
}

// The samples of one channel, of which there should be so many frames; undefined if the browser refuses. In Firefox a source
// that starts takes the data with it, out of the views, and the buffer has it again when it is asked for new ones.
export function channel(buffer, views, index, frames) {
  try {
    if (views[index].length !== frames) views[index] = buffer.getChannelData(index);
    return views[index];
  } catch (error) {
    thrown = error;
    return undefined;
  }
}

// Zeroes the first `dirty` frames of each channel of a buffer that is to be used again, and returns 2; 1 if the data of one was
// transferred away, and 0, with nothing done, if the context is closed.
export function prepare(context, buffer, views, frames, dirty) {
  if (is_closed(context)) return 0;
  for (let index = 0; index < views.length; index++) {
    let data = views[index];
    if (data.length !== frames) data = channel(buffer, views, index, frames);
    if (data?.length !== frames) return 1;
    if (dirty > 0) data.fill(0, 0, dirty);
  }
  return 2;
}

// What is to be done when a source ends: numbers, told to one function for all. The source itself carries them, so
// that nothing is left of those that are thrown away before they end.
const pending = Symbol("pool-web");
let dispatch;

export function set_dispatch(callback) {
  dispatch = callback;
}

function act(action) {
  try {
    if (typeof action === "number") dispatch(action);
    else action();
  } catch (error) {
    // The others must not be left out for it: it is thrown on in a task of its own.
    queueMicrotask(() => {
      throw error;
    });
  }
}

function ended({ target }) {
  end(target);
}

// Does now what is to be done when the source ends. Nothing is left for its end.
export function end(source) {
  const actions = source[pending];
  source[pending] = undefined;
  if (Array.isArray(actions)) actions.forEach(act);
  else if (actions !== undefined) act(actions);
}

// False if it is no source.
export function on_ended(source, action) {
  try {
    const actions = source[pending];
    if (actions === undefined) {
      source.addEventListener("ended", ended);
      source[pending] = action;
    } else if (Array.isArray(actions)) actions.push(action);
    else source[pending] = [actions, action];
    return true;
  } catch (error) {
    thrown = error;
    return false;
  }
}

// Feeds a node, cuts it off in mid-render, resets it, and watches what comes out of it on zeros: whether writing an attribute
// has emptied it. Mono all the way, since a change of the channel count alone would clear it, and prove nothing.
async function leaves_nothing(kind, rate) {
  const quantum = 128;
  // Quanta of sound into the node, then quanta of zeros.
  const [fed, watched] = [8, 16];
  const context = new OfflineAudioContext(1, (fed + watched) * quantum, rate);
  // Firefox lacks it.
  if (!context.suspend) return false;
  const looping = (value) => {
    const source = context.createBufferSource();
    const buffer = context.createBuffer(1, quantum, rate);
    buffer.getChannelData(0).fill(value);
    source.buffer = buffer;
    source.loop = true;
    source.start();
    return source;
  };
  let node;
  if (kind === 0) node = context.createBiquadFilter();
  else if (kind === 1) {
    node = context.createWaveShaper();
    node.curve = new Float32Array([-1, 0, 1]);
    node.oversample = "4x";
  } else {
    node = context.createPanner();
    node.panningModel = "HRTF";
  }
  const loud = looping(1);
  loud.connect(node).connect(context.destination);
  const cut = context.suspend((fed * quantum) / rate);
  const rendering = context.startRendering();
  await cut;
  loud.disconnect();
  node.disconnect();
  // As a release does it, and as the next user sets it up again.
  const [name, ...values] = [
    ["type", "highpass", "lowpass"],
    ["oversample", "none", "4x"],
    ["panningModel", "equalpower", "HRTF"],
  ][kind];
  for (const value of values) node[name] = value;
  looping(0).connect(node).connect(context.destination);
  context.resume();
  const samples = (await rendering).getChannelData(0);
  const loudest = (part) => part.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  // Silence before would mean that nothing was tested.
  return loudest(samples.subarray(0, fed * quantum)) > 0.1 && loudest(samples.subarray(fed * quantum)) === 0;
}

const probes = [];

// The answer for a type of node, as in `recipe::Probe`: a promise that never rejects. Whatever goes wrong, the cautious
// answer is right: then nodes are pulled with zeros or thrown away. It does not depend on the rate.
export function probe(kind, rate = 48_000) {
  if (!probes[kind]) {
    const asked = (probes[kind] = {});
    // Chromium's rendering hangs at times if it begins while the tables of HRTF are being loaded.
    const patience = new Promise((resolve) => setTimeout(resolve, 10_000, false));
    const answer = Promise.race([leaves_nothing(kind, rate), patience]);
    asked.answer = answer.catch(() => false).then((works) => (asked.works = works));
  }
  return probes[kind].answer;
}

// 0 until it is known, 1 if it does not work, 2 if it does.
export function probed(kind) {
  const works = probes[kind]?.works;
  return works === undefined ? 0 : works ? 2 : 1;
}

// A promise of the worklet's module, from an address or else from its text; undefined where there are no worklets.
export function add_module(context, url, text) {
  const worklet = context.audioWorklet;
  if (!worklet) return undefined;
  const add = async () => {
    if (url !== undefined) return worklet.addModule(url);
    const made = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    try {
      await worklet.addModule(made);
    } finally {
      URL.revokeObjectURL(made);
    }
  };
  return add();
}

// Makes a node by a method of the context's, with a size if there is any.
export function create(context, method, size) {
  return size > 0 ? context[method](size) : context[method]();
}

// Listens for the answer of a worklet's processor, beside whatever the user's code does with the port.
export function question(node, answer) {
  const { port } = node;
  const asked = { port, answered: true };
  asked.listener = ({ data }) => {
    if (Object.is(data, answer)) asked.answered = true;
  };
  port.addEventListener("message", asked.listener);
  // One that has thrown is silent from then on, but its port still answers. Chromium calls the event by another name than the
  // specification.
  for (const event of ["processorerror", "error"]) node.addEventListener(event, () => forget_question(asked));
  return asked;
}

export function ask(asked, message) {
  asked.answered = false;
  // A port delivers nothing to listeners until it is started; a second time changes nothing.
  asked.port.start();
  asked.port.postMessage(message);
}

export function is_answered(asked) {
  return asked.answered;
}

export function forget_question(asked) {
  asked.port.removeEventListener("message", asked.listener);
}

// Starts the processor that tells when quanta begin: through memory for so many `quanta` if that may be shared, else by
// messages of `batch` quanta, which go to `receive`.
export function start_monitor(context, processor, batch, quanta, share, receive) {
  const monitor = { shared: share && globalThis.crossOriginIsolated === true, read: 0 };
  const processorOptions = { batch };
  if (monitor.shared) {
    processorOptions.pairs = new SharedArrayBuffer(quanta * 16);
    processorOptions.written = new SharedArrayBuffer(4);
    monitor.pairs = new Float64Array(processorOptions.pairs);
    monitor.written = new Int32Array(processorOptions.written);
  }
  monitor.node = new AudioWorkletNode(context, processor, { numberOfInputs: 0, processorOptions });
  monitor.node.port.onmessage = ({ data }) => receive(data);
  // It is silent; but what leads nowhere is not asked to render.
  monitor.node.connect(context.destination);
  return monitor;
}

export function is_shared(monitor) {
  return monitor.shared;
}

// Any message ends the processor.
export function stop_monitor({ node }) {
  node.port.onmessage = null;
  node.port.postMessage(true);
  node.disconnect();
}

// The pairs that have come by way of shared memory since the last call. Of those before the latest `quanta - under_way` some
// may be overwritten while they are read: a gap then, which is recognised by its frames.
export function drain(monitor, under_way) {
  const { pairs, written } = monitor;
  if (!pairs) return new Float64Array(0);
  const quanta = pairs.length / 2;
  // It counts up and wraps around: the sign is of no meaning.
  const latest = Atomics.load(written, 0);
  const count = Math.min((latest - monitor.read) >>> 0, quanta - under_way);
  const news = new Float64Array(2 * count);
  for (let index = 0; index < count; index++) {
    const place = 2 * (((latest - count + index) >>> 0) % quanta);
    news[2 * index] = pairs[place];
    news[2 * index + 1] = pairs[place + 1];
  }
  monitor.read = latest;
  return news;
}
