// Glue of the page: loads the kit, drives the sequencer's timer, shows what the pools count.
// The sequencer, its voices and both supplies are in Rust; nothing here touches an audio node but the meter's.

import init, { Demo } from "./pkg/pool_web_demo.js";
import { BarChart, History, Palette, TimeChart, UNITS, formatBytes, formatCount } from "./charts.js";
import { Grid } from "./grid.js";
import { Sources } from "./sources.js";

const TICK_MS = 25;
const SAMPLE_MS = 250;
/** Charts are drawn in turn: each once in so many samples. */
const TURNS = 4;
/** How long a switch of mode waits for the voices of the old mode to end. */
const DRAIN_MS = 2000;
/** How long `start` waits for the browser to let the context run. */
const RESUME_MS = 700;

/** The kinds of objects, as the names of their counts begin. */
const KINDS = ["gain", "filter", "panner", "delay", "buffer"];

/** What plays, and how it is called: voices from the pools or made anew; their sources alone; nothing, only the page. */
const MODES = { pooled: "Pooled voices", fresh: "Fresh voices", sources: "Sources without voices", empty: "No voices" };

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const page = {
  demo: null,
  context: null,
  mode: Object.hasOwn(MODES, query.get("mode")) ? query.get("mode") : "pooled",
  rate: clampRate(query.get("rate") ?? 60),
  playing: false,
  /** Whether nothing is drawn until somebody asks: what drawing leaves for the garbage collector is more than the voices do. */
  still: query.get("still") === "1",
  timer: 0,
  errors: [],
  names: [],
  numbers: null,
  /** The counts by name, refreshed four times a second. */
  now: {},
  /** Where each name is among the numbers. */
  place: {},
  /** The numbers of the latest run of each mode. */
  runs: { pooled: null, fresh: null, sources: null, empty: null },
  /** What plays in the modes that are not the sequencer's. */
  sources: null,
  /** The latest point of the charts, and what it is a difference to. */
  point: {},
  before: null,
  turn: 0,
};

function clampRate(value) {
  const rate = Math.round(Number(value));
  return Number.isFinite(rate) ? Math.min(1000, Math.max(1, rate)) : 60;
}

function note(error) {
  const text = error instanceof Error ? error.message : String(error);
  if (page.errors.length < 20 && !page.errors.includes(text)) page.errors.push(text);
}

addEventListener("error", (event) => note(event.error ?? event.message));
addEventListener("unhandledrejection", (event) => note(event.reason));

/** One line for the eye, and for screen readers only what is no running count. */
function status(text, kind = "info") {
  const line = $("status");
  if (line.textContent !== text) line.textContent = text;
  line.dataset.kind = kind;
  const spoken = kind === "count" ? `${MODES[page.mode]}, ${page.rate} per second.` : text;
  if ($("announce").textContent !== spoken) $("announce").textContent = spoken;
}

// ---- loading ---------------------------------------------------------------------------------------------------

async function fetchOrThrow(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: the server answered ${answer.status} ${answer.statusText}`);
  return answer;
}

async function loadKit(demo) {
  const urls = (await (await fetchOrThrow("audio/index.json")).json()).map((file) => `audio/${file}`);
  let done = 0;
  const failed = [];
  const decoded = await Promise.all(urls.map(async (url) => {
    try {
      await demo.decode(url);
      return true;
    } catch (error) {
      failed.push(`${url}: ${error.message}`);
      return false;
    } finally {
      status(`Decoding the recordings: ${++done} of ${urls.length}`);
    }
  }));
  // In the order of the index, whichever came first, so that every load plays the same.
  urls.forEach((url, index) => {
    if (decoded[index]) demo.addRecording(url);
  });
  failed.forEach(note);
  if (failed.length === urls.length) throw new Error(`No recording could be decoded. ${failed[0] ?? "The kit is empty."}`);
  return { count: urls.length - failed.length, failed: failed.length };
}

async function prepare() {
  if (!window.AudioContext) throw new Error("This browser has no Web Audio.");
  await init();
  const context = new AudioContext({ latencyHint: "interactive" });
  const demo = new Demo(context, Number($("limit").value) * 1024 * 1024);
  page.context = context;
  page.demo = demo;
  const kit = await loadKit(demo);
  page.names = Demo.fields().split(",");
  page.numbers = new Float64Array(page.names.length);
  page.names.forEach((name, index) => (page.place[name] = index));
  demo.setRate(page.rate);
  demo.setVolume($("volume").value / 100);
  demo.setMode(page.mode === "fresh");
  page.sources = new Sources(context, demo.output());
  context.addEventListener("statechange", showState);
  buildPage(demo, context);
  $("play").disabled = false;
  showState();
  const lost = kit.failed ? ` ${kit.failed} could not be decoded.` : "";
  status(`${kit.count} recordings are ready.${lost} Press Play, or the space bar.`);
}

// ---- playing ---------------------------------------------------------------------------------------------------

// Starting, stopping and switching take a while, since voices ring out. They wait for each other, so that whatever is
// asked for last is what happens.
let turn = Promise.resolve();

function inTurn(work) {
  const done = turn.then(() => poolDemo.ready).then(work);
  turn = done.catch(() => {});
  return done;
}

const start = () => inTurn(startNow);
const stop = () => inTurn(stopNow);
const setMode = (mode) => inTurn(() => setModeNow(mode));

async function startNow() {
  if (page.playing) return;
  const { context, demo } = page;
  if (context.state !== "running") {
    await Promise.race([context.resume(), wait(RESUME_MS)]);
  }
  if (context.state !== "running") {
    status("The browser keeps audio silent until you press Play.");
    return;
  }
  demo.watch();
  if (isFloor()) page.sources.start(page.mode === "empty" ? 0 : page.rate);
  else demo.start();
  page.playing = true;
  runTimer();
  showState();
}

async function stopNow() {
  if (!page.playing) return;
  page.playing = false;
  page.demo.stop();
  page.sources.stop();
  await drain();
  sample();
  showState();
}

function runTimer() {
  if (!page.timer) page.timer = setInterval(tick, TICK_MS);
}

function tick() {
  page.demo.tick();
  page.sources.tick();
  if (!calm.matches && !page.still) page.grid.show(page.demo.step());
}

/** Resolves when no voice is left, or after a while: a suspended context never ends its voices. */
async function drain() {
  const deadline = performance.now() + DRAIN_MS;
  do {
    await wait(TICK_MS);
    read();
  } while (page.now.sounding > 0 && performance.now() < deadline);
}

async function setModeNow(mode) {
  if (!Object.hasOwn(MODES, mode)) throw new Error(`The mode is one of ${Object.keys(MODES)}, not ${JSON.stringify(mode)}.`);
  const playing = page.playing;
  if (playing) await stopNow();
  page.mode = mode;
  page.demo.setMode(mode === "fresh");
  for (const input of document.querySelectorAll("input[name=mode]")) input.checked = input.value === mode;
  resetStats();
  if (playing) await startNow();
  showState();
}

function setRate(rate) {
  page.rate = clampRate(rate);
  page.demo?.setRate(page.rate);
  page.sources?.setRate(page.mode === "empty" ? 0 : page.rate);
  $("rate").value = page.rate;
  $("rate-value").textContent = page.rate;
}

function resetStats() {
  page.errors.length = 0;
  page.demo?.resetStats();
  page.sources?.resetStats();
  page.before = null;
  read();
}

// ---- figures ---------------------------------------------------------------------------------------------------

/** Whether what plays is none of the sequencer's. */
const isFloor = () => page.mode === "sources" || page.mode === "empty";

function read() {
  page.demo.read(page.numbers);
  const { now, names, numbers, place, sources } = page;
  if (isFloor()) {
    numbers[place.voices] = sources.voices;
    numbers[place.seconds] = sources.seconds;
    numbers[place.busy_ms] = sources.busyMs;
  }
  for (let index = 0; index < names.length; index++) now[names[index]] = numbers[index];
  return now;
}

const known = (number) => (Number.isFinite(number) ? number : null);

function report() {
  const now = read();
  const reused = now.nodes_reused + now.buffers_reused;
  const created = now.nodes_created + now.buffers_created;
  return {
    mode: page.mode,
    seconds: now.seconds,
    voices: now.voices,
    nodes_created: now.nodes_created,
    nodes_reused: now.nodes_reused,
    buffers_created: now.buffers_created,
    buffers_reused: now.buffers_reused,
    hit_rate: reused + created > 0 ? reused / (reused + created) : null,
    tracked_bytes: now.used_bytes,
    tracked_peak_bytes: now.peak_bytes,
    underruns: known(now.underruns),
    load: known(now.load),
    load_p95: known(now.load_p95),
    latency_ms: known(now.latency_ms),
    context_state: page.context.state,
    errors: [...page.errors, ...page.demo.errors()],
  };
}

/** One point of every chart. */
function sample() {
  const now = read();
  const time = performance.now();
  const { before } = page;
  const point = page.point;
  const seconds = before ? (time - before.time) / 1000 : 0;
  const made = now.nodes_created + now.buffers_created;
  const reused = now.nodes_reused + now.buffers_reused;
  const rate = (value, last) => (seconds > 0 && value >= last ? (value - last) / seconds : NaN);
  point.fresh = page.mode === "fresh" ? 1 : 0;
  point.leased_bytes = now.leased_bytes;
  point.idle_bytes = now.idle_bytes;
  point.kit_bytes = now.kit_bytes;
  point.peak_bytes = now.peak_bytes;
  point.limit_bytes = now.limit_bytes > 0 ? now.limit_bytes : NaN;
  point.hits = rate(reused, before?.reused);
  point.misses = rate(made, before?.made);
  const voices = before ? now.voices - before.voices : 0;
  // A handful of voices says nothing: the last of them end while none begin.
  point.script_us = voices >= Math.min(5, page.rate / 8) && page.playing ? ((now.busy_ms - before.busy) * 1000) / voices : NaN;
  point.load = now.load;
  point.load_p95 = now.load_p95;
  point.underruns = before ? now.underruns - before.underruns : 0;
  point.base_ms = now.base_latency_ms;
  point.output_ms = now.output_latency_ms;
  const last = (page.before ??= { time: 0, made: 0, reused: 0, voices: 0, busy: 0, underruns: 0 });
  last.time = time;
  last.made = made;
  last.reused = reused;
  last.voices = now.voices;
  last.busy = now.busy_ms;
  last.underruns = now.underruns;
  page.history.push(point);
  // Stopped, everything given back and silent: the timer rests.
  if (!page.playing && now.sounding === 0 && now.delay_resting + now.filter_resting === 0) {
    clearInterval(page.timer);
    page.timer = 0;
  }
  if (now.voices > 0) (page.runs[page.mode] ??= new Float64Array(page.names.length)).set(page.numbers);
}

/** Draws a part of the page, or `all` of it. Texts that change make the browser lay the page out again: once per round. */
function show(all) {
  page.turn = (page.turn + 1) % TURNS;
  for (let index = 0; index < page.charts.length; index++) {
    const chart = page.charts[index];
    if (all || index % TURNS === page.turn) chart.show(chart === page.bars ? page.now : page.history);
  }
  const texts = all || page.turn === 0;
  showMeter(texts);
  if (!texts) return;
  showTable();
  showKit();
  if (page.playing) showState();
}

/** What the cache of recordings has done. */
function showKit() {
  const { recordings_decoded: decoded, recordings_leases: leases, kit_bytes: bytes } = page.now;
  const text = `${formatCount(decoded)} recordings in ${formatBytes(bytes)}, each decoded once, and leased ${formatCount(leases)} times since: by every voice, for as long as it copies its slice.`;
  if ($("kit").textContent !== text) $("kit").textContent = text;
}

// ---- types of nodes ----------------------------------------------------------------------------------------------

/** Fills the table of types; each row is interface, state class, what became of it, and whether its class promises that: null if not tried. */
function showTypes(rows) {
  $("types").replaceChildren(...rows.map(([type, stateClass, outcome, right]) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = type.replace(/Node$/, "");
    head.title = type;
    row.append(head);
    for (const text of [stateClass, right === false ? `${outcome}: not what its class promises` : outcome]) row.insertCell().textContent = text;
    row.toggleAttribute("data-wrong", right === false);
    return row;
  }));
}

/** Uses and releases a node of every type; resolves to what became of each. */
async function tryTypes() {
  await poolDemo.ready;
  const button = $("try-types");
  const line = $("types-status");
  button.disabled = true;
  line.textContent = "Trying: some types have to rest …";
  try {
    const rows = await page.demo.tryTypes();
    showTypes(rows);
    const count = (answer) => rows.filter(([, , , right]) => right === answer).length;
    const kept = count(false) === 0 ? "and all of them did" : `and ${count(false)} of them did not do`;
    line.textContent = `${count(true) + count(false)} types were tried, ${kept} what their classes promise; ${count(null)} were not tried.`;
    return rows.map(([type, stateClass, outcome, right]) => ({ type, class: stateClass, outcome, right }));
  } catch (error) {
    line.textContent = error.message;
    throw error;
  } finally {
    button.disabled = false;
  }
}

function showTable() {
  showRun("pooled");
  showRun("fresh");
  showRun("sources");
}

function showRun(mode) {
  const row = $(`row-${mode}`);
  const run = page.runs[mode];
  const live = mode === page.mode;
  row.toggleAttribute("data-live", live && page.playing);
  // Of the other mode nothing changes.
  if (run && !live && row.dataset.shown === "run") return;
  row.dataset.shown = run ? "run" : "";
  const get = (name) => run[page.place[name]];
  const texts = run ? runTexts(get) : Array(7).fill("–");
  texts.forEach((text, index) => {
    const cell = row.cells[index + 1] ?? row.insertCell();
    if (cell.textContent !== text) cell.textContent = text;
  });
}

function runTexts(get) {
  const reused = get("nodes_reused") + get("buffers_reused");
  const made = get("nodes_created") + get("buffers_created");
  return [
    formatCount(get("voices")),
    formatCount(get("nodes_created")),
    formatCount(get("buffers_created")),
    reused + made > 0 ? `${((100 * reused) / (reused + made)).toFixed(1)} %` : "–",
    formatBytes(get("peak_bytes")),
    `${((get("busy_ms") * 1000) / get("voices")).toFixed(0)} µs`,
    formatCount(get("underruns")),
  ];
}

function showMeter(texts) {
  const { analyser, wave } = page;
  let peak = 0;
  if (page.playing) {
    analyser.getFloatTimeDomainData(wave);
    for (let index = 0; index < wave.length; index++) peak = Math.max(peak, Math.abs(wave[index]));
  }
  // The bar shows 60 decibels below full scale.
  const decibels = 20 * Math.log10(peak);
  $("meter").style.transform = `scaleX(${Math.min(1, Math.max(0, 1 + decibels / 60)).toFixed(3)})`;
  if (!texts) return;
  const text = peak > 0.001 ? `${decibels.toFixed(0).replace("-", "\u2212")} dB` : "–";
  if ($("meter-value").textContent !== text) $("meter-value").textContent = text;
}

function showState() {
  const { context, now } = page;
  const play = $("play");
  play.toggleAttribute("data-playing", page.playing);
  $("play-label").textContent = page.playing ? "Stop" : "Play";
  if (context.state === "closed") status("The audio context is closed; reload the page.", "error");
  else if (page.playing && context.state !== "running") status("The browser has suspended the audio. It goes on when the browser lets it; nothing is queued up meanwhile.");
  else if (page.playing) {
    const late = now.late > 0 ? ` ${formatCount(now.late)} were skipped because the timer was held up.` : "";
    const refused = now.refused > 0 ? ` ${formatCount(now.refused)} were refused, as in: ${page.demo.errors()[0] ?? "unknown"}.` : "";
    status(`${formatCount(now.voices)} voices started, ${formatCount(now.sounding)} out now.${late}${refused}`, "count");
  } else if (now.voices > 0) status(`Stopped after ${formatCount(now.voices)} voices.`);
  else status(`${MODES[page.mode]} are next. Press Play, or the space bar.`);
}

// ---- page ------------------------------------------------------------------------------------------------------

function buildPage(demo, context) {
  page.grid = new Grid($("grid"), Demo.rows().split(","), demo);
  page.analyser = new AnalyserNode(context, { fftSize: 2048 });
  page.wave = new Float32Array(page.analyser.fftSize);
  demo.output().connect(page.analyser);

  const { bytes, perSecond: rate, us, ms: milliseconds, percent: share, count } = UNITS;
  page.history = new History({
    fresh: count,
    leased_bytes: bytes,
    idle_bytes: bytes,
    kit_bytes: bytes,
    peak_bytes: bytes,
    limit_bytes: bytes,
    hits: rate,
    misses: rate,
    script_us: us,
    load: share,
    load_p95: share,
    underruns: count,
    base_ms: milliseconds,
    output_ms: milliseconds,
  });
  const { history, point } = page;
  const palette = new Palette();
  const charts = $("charts");
  /** A line of a legend: the latest value of a column. */
  const latest = (column, format) => () => format(point[column]);
  const orNone = (format) => (value) => (Number.isFinite(value) ? format(value) : "n/a");
  const perSecond = orNone((value) => `${formatCount(value)}/s`);
  const percent = orNone((value) => `${(value * 100).toFixed(1)} %`);
  const total = (state) => () => formatCount(KINDS.reduce((sum, kind) => sum + page.now[`${kind}_${state}`], 0));
  const ms = orNone((value) => `${value.toFixed(1)} ms`);

  const memory = new TimeChart(charts, palette, history, {
    title: "Audio memory",
    hint: "Bytes that the program holds for sound. Idle bytes wait to be used again and are the first to go when the limit is near.",
    alt: "Bytes leased, idle and in recordings over the last minute, with peak and limit",
    unit: "bytes",
    series: [
      { label: "Recordings", column: "kit_bytes", color: "kit", style: "area", read: latest("kit_bytes", formatBytes) },
      { label: "Leased", column: "leased_bytes", color: "leased", style: "area", read: latest("leased_bytes", formatBytes) },
      { label: "Idle", column: "idle_bytes", color: "idle", style: "area", read: latest("idle_bytes", formatBytes) },
      { label: "Peak", column: "peak_bytes", color: "peak", style: "line", read: latest("peak_bytes", formatBytes) },
      { label: "Limit", column: "limit_bytes", color: "limit", style: "dashed", read: latest("limit_bytes", formatBytes) },
    ],
  });
  page.bars = new BarChart(charts, palette, {
    title: "Objects by type",
    hint: "How many are out in voices, how many wait in the pool, and how many had to be made since the last reset. A used delay rests until it is silent.",
    alt: "Nodes and buffers by type: leased, idle and made",
    rows: [
      { key: "gain", label: "Gain" },
      { key: "filter", label: "Biquad" },
      { key: "panner", label: "Panner" },
      { key: "delay", label: "Delay" },
      { key: "buffer", label: "Buffer" },
    ],
    series: [
      { label: "Leased", state: "leased", color: "leased", style: "area", read: total("leased") },
      { label: "Resting", state: "resting", color: "kit", style: "area", read: total("resting") },
      { label: "Idle", state: "idle", color: "idle", style: "area", read: total("idle") },
    ],
  });
  const hits = new TimeChart(charts, palette, history, {
    title: "Hits and misses",
    hint: "A hit takes a node or buffer from the pool; a miss makes a new one. Fresh voices only ever miss.",
    alt: "Objects reused and made per second over the last minute",
    unit: "perSecond",
    series: [
      { label: "Hits", column: "hits", color: "hit", style: "area", read: latest("hits", perSecond) },
      { label: "Misses", column: "misses", color: "miss", style: "area", read: latest("misses", perSecond) },
    ],
  });
  const script = new TimeChart(charts, palette, history, {
    title: "Script time per voice",
    hint: "Main-thread time to take or make a voice's objects, fill its buffer and start it. Garbage collection comes on top.",
    alt: "Microseconds of main-thread time per voice over the last minute",
    unit: "us",
    empty: "Plays when you do",
    series: [{ label: "Per voice", column: "script_us", color: "second", style: "line", read: latest("script_us", orNone((value) => `${value.toFixed(0)} µs`)) }],
  });
  const load = new TimeChart(charts, palette, history, {
    title: "Load of the audio thread",
    hint: "Share of its time that the browser's audio thread needs; p50, p95 and p99 of all quarter seconds since the last reset. Triangles mark underruns, which one would hear as a gap.",
    alt: "Load of the audio thread and underruns over the last minute",
    unit: "percent",
    empty: "Not known yet",
    series: [
      { label: "Load", column: "load", color: "load", style: "line", read: latest("load", percent) },
      { label: "p50", style: "none", read: () => percent(page.now.load_p50) },
      { label: "p95", column: "load_p95", color: "second", style: "dashed", read: latest("load_p95", percent) },
      { label: "p99", style: "none", read: () => percent(page.now.load_p99) },
      { label: "Underruns", column: "underruns", color: "miss", style: "mark", read: () => formatCount(page.now.underruns) },
    ],
  });
  const latency = new TimeChart(charts, palette, history, {
    title: "Latency",
    hint: "Time from the audio graph to the ear: inside the browser, and from there through the system and the device.",
    alt: "Base and output latency in milliseconds over the last minute",
    unit: "ms",
    empty: "Not told by this browser",
    series: [
      { label: "Browser", column: "base_ms", color: "leased", style: "area", read: latest("base_ms", ms) },
      { label: "Output", column: "output_ms", color: "second", style: "line", read: latest("output_ms", ms) },
    ],
  });
  page.charts = [memory, page.bars, hits, script, load, latency];

  showTypes(Demo.types());
  $("try-types").addEventListener("click", () => tryTypes().catch(() => {}));
  $("try-types").disabled = false;
  $("play").addEventListener("click", () => (page.playing ? stop() : start()).catch(note));
  $("rate").addEventListener("input", () => setRate($("rate").value));
  $("volume").addEventListener("input", () => {
    const percent = Number($("volume").value);
    demo.setVolume(percent / 100);
    $("volume-value").textContent = `${percent} %`;
  });
  $("limit").addEventListener("change", () => demo.setLimit(Number($("limit").value) * 1024 * 1024));
  $("reset").addEventListener("click", () => {
    resetStats();
    page.runs[page.mode] = null;
  });
  for (const input of document.querySelectorAll("input[name=mode]")) {
    input.checked = input.value === page.mode;
    input.addEventListener("change", () => setMode(input.value).catch(note));
  }
  addEventListener("keydown", (event) => {
    // Space plays and stops, except where it already means something.
    if (event.key !== " " || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("button, select, a, input[type=radio]")) return;
    event.preventDefault();
    $("play").click();
  });
  setRate(page.rate);
  let sampled = 0;
  setInterval(() => {
    sample();
    // Nobody sees a hidden page; and calm readers get one picture a second.
    if (document.hidden || page.still || (calm.matches && ++sampled % TURNS !== 0)) return;
    show(calm.matches);
  }, SAMPLE_MS);
  sample();
  show(true);
}

/** Draws from now on, if the page was opened to stand still. */
function draw() {
  page.still = false;
  show(true);
  // What is out of sight, too.
  for (const chart of page.charts) chart.redraw();
}

const poolDemo = { ready: null, start, stop, setMode, setRate, resetStats, report, tryTypes, draw };
window.poolDemo = poolDemo;
poolDemo.ready = prepare();
poolDemo.ready.then(
  () => {
    if (query.get("autostart") === "1") start().catch(note);
  },
  (error) => {
    note(error);
    status(error.message, "error");
    $("play-label").textContent = "Failed";
  },
);
