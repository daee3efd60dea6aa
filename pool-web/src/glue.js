// What would take many calls from WASM, in one. Exceptions are kept here and told by a number: to hand each through the
// bindings' own try and catch costs a closure per call.

let thrown;

export function take_thrown() {
  const error = thrown;
  thrown = undefined;
  return error;
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

// The steps of a release, as they are in `recipe::Step`: three entries each. Returns how many of them were done; a
// setting is written only if it differs, since writing one waits for the audio thread.
export function perform(node, params, plan) {
  let step = 0;
  try {
    for (; step < plan.length; step += 3) {
      const key = plan[step + 1];
      const value = plan[step + 2];
      switch (plan[step]) {
        case 0: node.disconnect(); break;
        case 1: params[key].cancelScheduledValues(0); break;
        case 2: params[key].value = value; break;
        case 3: {
          const rate = params[key].automationRate;
          // Where there is none (Firefox), writing it would leave a property behind that means nothing.
          if (rate !== value && rate !== undefined) params[key].automationRate = value;
          break;
        }
        default: if (node[key] !== value) node[key] = value;
      }
    }
  } catch (error) {
    thrown = error;
  }
  return step / 3;
}

// Lets zeros flow through a node into a silent sink. A worklet may have no inputs, or no outputs.
export function plug(node, zeros, sink) {
  try {
    if (node.numberOfOutputs > 0) node.connect(sink);
    if (node.numberOfInputs > 0) zeros.connect(node);
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

// Zeroes the first `dirty` frames of each channel; false if the data of one was transferred away. In Firefox a source that
// starts takes the data with it, out of the views, and the buffer has it again when it is asked for new ones.
export function zero(buffer, views, frames, dirty) {
  try {
    for (let channel = 0; channel < views.length; channel++) {
      if (views[channel].length !== frames) views[channel] = buffer.getChannelData(channel);
      if (views[channel].length !== frames) return false;
      if (dirty > 0) views[channel].fill(0, 0, dirty);
    }
    return true;
  } catch {
    return false;
  }
}

export function after(milliseconds, callback) {
  setTimeout(callback, milliseconds);
}

// What is to be done when a source ends: numbers, told to one function for all. The source itself carries them, so
// that nothing is left of those that are thrown away before they end.
const pending = Symbol("pool-web");
let dispatch;

export function set_dispatch(callback) {
  dispatch = callback;
}

function ended(event) {
  const actions = event.target[pending];
  event.target[pending] = undefined;
  if (typeof actions === "number") dispatch(actions);
  else if (actions !== undefined) for (const action of actions) dispatch(action);
}

export function on_ended(source, action) {
  const actions = source[pending];
  if (actions === undefined) {
    source[pending] = action;
    source.addEventListener("ended", ended);
  } else if (typeof actions === "number") source[pending] = [actions, action];
  else actions.push(action);
}
