/** What a pool refuses, with a code and the numbers. */
export class PoolError extends Error {
  constructor(code, message, details = {}) {
    super(message);
    this.name = "PoolError";
    this.code = code;
    this.details = details;
  }
}

/** As Rust's `Bytes` prints them: two decimals, rounded half up, and never 1024 of a unit. */
export function formatBytes(bytes) {
  bytes = Math.max(0, Math.trunc(bytes) || 0);
  if (bytes < 1024) return bytes + " B";
  let [unit, scaled, place] = [512, 0, -1];
  do {
    unit *= 2 ** (place < 0 ? 1 : 10);
    place++;
    scaled = Math.floor((bytes * 100) / unit + 0.5);
  } while (scaled >= 102400 && place < 5);
  return (scaled / 100).toFixed(2) + " " + "KMGTPE"[place] + "iB";
}

export function has_method(value, method) {
  return typeof value?.[method] === "function";
}

/** An exception in words. */
export function describe(operation, name, message) {
  return `${operation} failed: ${name}: ${message}`;
}

/** What something threw, as Rust's `Exception::from_js` reads it. */
export function exception(operation, thrown) {
  const text = (value) => (typeof value === "string" ? value : undefined);
  const message = text(thrown?.message) ?? text(thrown) ?? "a value that is no error was thrown";
  return make_error("exception", [], operation, text(thrown?.name) ?? "", message);
}

// In the order of `Code` in `error.rs`. For each the names of the numbers and texts that become details, in the order in which they come, and the message.
const errors = {
  "bad-buffer": ["channels length sampleRate", "", (n, a, b, c) =>
    `no buffer of ${n[0]} channels x ${n[1]} frames at ${n[2]} Hz: ${c ? describe(a, b, c) : a}`],
  "bad-delay": ["maxDelay", "", (n) => `a delay of at most ${n[0]} s: must be above 0 and below 180 s`],
  "bad-filter": ["feedforward feedback", "", (n) =>
    `no filter of ${n[0]} feedforward and ${n[1]} feedback coefficients: 1 to 20 of each, finite, not all feedforward ones 0, and the first feedback one not 0`],
  "bad-channels": ["channels", "", (n) => `${n[0]} channels: must be 1 to 32`],
  "not-poolable": ["", "interface reason", (n, a, b) => `${a} cannot be pooled: ${b}`],
  exhausted: ["inUse limit", "", (n) => `all of ${n[1]} objects are in use (${n[0]} leased)`],
  "over-budget": ["requested free limit", "", (n) =>
    `account "audio" refused ${formatBytes(n[0])} (${n[0]} bytes): ${formatBytes(n[3])} of ${formatBytes(n[2])} in use, ` +
    `${formatBytes(n[1])} free` + (n[4] < 0 ? "" : `, ${formatBytes(n[4])} evictable`)],
  "unknown-param": ["", "interface param", (n, a, b) => `${a} has no parameter \`${b}\``],
  exception: ["", "operation exception", (n, a, b, c) => describe(a, b, c)],
  "context-closed": ["", "", (n, a) => a + ": the audio context is closed"],
  "pool-closed": ["", "", () => "the pool is closed"],
  unsupported: ["", "", (n, a) => "this browser does not support " + a],
  "bad-option": ["", "", (n, a) => a],
  "not-a-node": ["", "", () => "the factory made no AudioNode"],
  foreign: ["", "", (n, a) => `this ${a} is of another pool`],
  "released-twice": ["", "", (n, a) => `this ${a} was released before`],
  unknown: ["", "", (n, a) => `this ${a} is of no pool`],
};

const codes = Object.keys(errors);

export function error_of(number, ...rest) {
  return make_error(codes[number], ...rest);
}

export function make_error(code, numbers, a, b, c) {
  const [counts, words, message] = errors[code] ?? ["", "", () => code];
  const details = {};
  const fill = (names, values) => names && names.split(" ").forEach((name, index) => (details[name] = values[index]));
  fill(counts, numbers);
  fill(words, [a, b, c]);
  return new PoolError(code, message(numbers, a, b, c), details);
}
