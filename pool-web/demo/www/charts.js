// Small canvas charts: one minute of history, crisp on any screen, and cheap, since they run beside the audio timer.
//
// They leave next to no garbage, which would count as that of the voices. A number that is no small integer is an object of
// its own wherever a function is not compiled to machine code, so what is kept and computed per point are small integers:
// values in grains, which are as fine as a chart can show them, and places in eighths of a pixel. Colours come from the style
// sheet.

/** Points kept: one minute at four per second. */
export const POINTS = 241;
const SECONDS = 60;
/** One redraw in this many for charts out of sight. */
const SKIP = 4;
/** Paths are laid out in so many parts of a pixel. */
const FINE = 8;
/** Heights are computed with so many binary places. */
const PLACES = 16;
/** What stands in a column where nothing is known. */
const UNKNOWN = -1;
const KIB = 1024;
const MIB = KIB * KIB;

const MARGIN = { left: 46, right: 10, top: 10, bottom: 20 };

/** Bytes for people; KiB and MiB are 1024-based. */
export function formatBytes(bytes) {
  if (!Number.isFinite(bytes)) return "n/a";
  if (bytes < KIB) return `${bytes} B`;
  if (bytes < MIB) return `${(bytes / KIB).toFixed(1)} KiB`;
  return `${(bytes / MIB).toFixed(2)} MiB`;
}

/** A count for people, with thin spaces between thousands. */
export function formatCount(count) {
  if (!Number.isFinite(count)) return "n/a";
  return Math.round(count).toString().replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

/** How each unit is written at the axis, where its ticks may stand, and how much one grain of it is. */
export const UNITS = {
  bytes: { label: (v) => (v === 0 ? "0" : v >= MIB ? `${+(v / MIB).toFixed(1)} MiB` : `${Math.round(v / KIB)} KiB`), base: 2, least: 64 * KIB, grain: KIB },
  perSecond: { label: (v) => (v === 0 ? "0" : `${formatCount(v)}/s`), base: 10, least: 10, grain: 1 },
  percent: { label: (v) => `${Math.round(v * 100)} %`, base: 10, least: 0.1, grain: 1e-4 },
  ms: { label: (v) => (v === 0 ? "0" : `${+v.toFixed(1)} ms`), base: 10, least: 10, grain: 0.01 },
  us: { label: (v) => (v === 0 ? "0" : v >= 1000 ? `${+(v / 1000).toFixed(1)} ms` : `${Math.round(v)} µs`), base: 10, least: 20, grain: 1 },
  count: { label: (v) => formatCount(v), base: 10, least: 10, grain: 1 },
};

const HALVES = [1, 1.5, 2];
const TENTHS = [1, 2, 5, 10];

/** The smallest round step with which four or fewer steps reach `top`. */
function stepFor(top, unit) {
  const rough = Math.max(top, unit.least) / 4;
  const power = unit.base === 2 ? 2 ** Math.floor(Math.log2(rough)) : 10 ** Math.floor(Math.log10(rough));
  const factors = unit.base === 2 ? HALVES : TENTHS;
  let index = 0;
  while (power * factors[index] < rough * 0.9999) index++;
  return power * factors[index];
}

/** Columns over time, in rings of fixed size: of each name in grains of its unit. */
export class History {
  /** `units` gives each name its unit. */
  constructor(units) {
    this.names = Object.keys(units);
    this.grains = this.names.map((name) => units[name].grain);
    this.columns = this.names.map(() => new Int32Array(POINTS).fill(UNKNOWN));
    this.head = 0;
    this.length = 0;
  }

  /** The column of a name, for `at`. */
  column(name) {
    return this.columns[this.names.indexOf(name)];
  }

  push(values) {
    for (let index = 0; index < this.names.length; index++) {
      const value = values[this.names[index]];
      this.columns[index][this.head] = value >= 0 ? Math.round(value / this.grains[index]) : UNKNOWN;
    }
    this.head = (this.head + 1) % POINTS;
    if (this.length < POINTS) this.length++;
  }

  /** What a column held `age` points ago, younger than `length`. */
  at(column, age) {
    const index = this.head - 1 - age;
    return column[index < 0 ? index + POINTS : index];
  }
}

/** Colours of the style sheet, read once per theme. */
export class Palette {
  constructor() {
    this.listeners = [];
    this.read();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.read();
      for (const listener of this.listeners) listener();
    });
  }

  read() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "soft", "grid", "line", "card", "pooled", "fresh", "leased", "idle", "kit", "hit", "miss", "peak", "limit", "load", "second", "band"]) {
      this[name] = style.getPropertyValue(`--${name}`).trim();
    }
    const font = getComputedStyle(document.body).fontFamily;
    this.font = `11px ${font}`;
  }
}

/** A card with title, sentence, canvas and legend. Subclasses draw. */
class Chart {
  constructor(parent, palette, { title, hint, series, alt }) {
    this.palette = palette;
    this.series = series;
    const card = document.createElement("article");
    card.className = "card chart";
    const heading = document.createElement("h2");
    heading.textContent = title;
    const text = document.createElement("p");
    text.className = "hint";
    text.textContent = hint;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", alt);
    this.legend = document.createElement("ul");
    this.legend.className = "legend";
    for (const entry of series) this.legend.append(this.legendItem(entry));
    card.append(heading, text, this.canvas, this.legend);
    parent.append(card);
    this.paint = this.canvas.getContext("2d");
    this.ratio = 1;
    this.visible = true;
    this.skipped = 0;
    new ResizeObserver(() => this.fit()).observe(this.canvas);
    new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      if (this.visible) this.redraw();
    }, { rootMargin: "80px" }).observe(this.canvas);
    palette.listeners.push(() => this.redraw());
  }

  legendItem(entry) {
    const item = document.createElement("li");
    const marks = {
      area: '<rect width="16" height="10" rx="2" fill="C"/>',
      line: '<path d="M0 5h16" stroke="C" stroke-width="2.5"/>',
      dashed: '<path d="M0 5h16" stroke="C" stroke-width="2.5" stroke-dasharray="4 2.5"/>',
      mark: '<path d="M8 0l6 10H2z" fill="C"/>',
    };
    // What is told and not drawn has none.
    const mark = marks[entry.style]?.replace("C", `var(--${entry.color})`);
    if (mark) item.innerHTML = `<svg viewBox="0 0 16 10" aria-hidden="true">${mark}</svg>`;
    entry.value = document.createElement("b");
    entry.text = "";
    item.append(entry.label, entry.value);
    return item;
  }

  fit() {
    this.ratio = Math.min(devicePixelRatio || 1, 3);
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.canvas.width = Math.round(this.width * this.ratio);
    this.canvas.height = Math.round(this.height * this.ratio);
    this.scale(1);
    this.redraw();
  }

  /** What follows is laid out in so many parts of a pixel. */
  scale(parts) {
    const factor = this.ratio / parts;
    this.paint.setTransform(factor, 0, 0, factor, 0, 0);
  }

  /** Draws the data of `source`, a History or a snapshot, and writes the legend where it has changed. */
  show(source) {
    this.source = source;
    for (let index = 0; index < this.series.length; index++) {
      const entry = this.series[index];
      const text = entry.read();
      if (text !== entry.text) entry.value.textContent = entry.text = text;
    }
    // Out of sight a chart is drawn once in a while only, so that it is not blank when scrolled or printed.
    if (this.visible || ++this.skipped >= SKIP) this.redraw();
  }

  redraw() {
    this.skipped = 0;
    if (!this.source || !this.width) return;
    this.paint.clearRect(0, 0, this.width, this.height);
    this.draw(this.paint, this.source);
  }
}

/** What stands below the time axis, every 20 seconds. */
const TIMES = ["now", "20 s ago", "40 s ago", "60 s ago"];
const SOLID = [];
const DASHES = [6, 4];

/** Lines and stacked areas over the last minute. */
export class TimeChart extends Chart {
  constructor(parent, palette, history, options) {
    super(parent, palette, options);
    this.unit = UNITS[options.unit];
    this.empty = options.empty;
    this.fresh = history.column("fresh");
    for (const entry of this.series) entry.data = entry.column ? history.column(entry.column) : null;
    this.lower = new Int32Array(POINTS);
    // Where points of each age are, in parts of a pixel.
    this.xs = new Int32Array(POINTS);
    this.labels = [];
    this.labelled = NaN;
    this.reach = 0;
  }

  fit() {
    const width = this.canvas.clientWidth;
    this.right = width - MARGIN.right;
    this.bottom = this.canvas.clientHeight - MARGIN.bottom;
    this.low = this.bottom * FINE;
    for (let age = 0; age < POINTS; age++) {
      this.xs[age] = Math.round(FINE * (this.right - ((this.right - MARGIN.left) * age) / (POINTS - 1)));
    }
    super.fit();
  }

  draw(paint, history) {
    const { palette, right, bottom } = this;
    const reach = Math.max(this.top(history) * this.unit.grain * 1.04, this.unit.least);
    const step = stepFor(reach, this.unit);
    const top = step * Math.max(1, Math.ceil(reach / step - 1e-9));
    // Grains to parts of a pixel: `(grains * rise) >> PLACES`.
    this.rise = Math.floor(((bottom - MARGIN.top) * FINE * 2 ** PLACES) / (top / this.unit.grain));
    this.drawAxes(paint, top, step);
    this.drawBands(paint, history);

    this.lower.fill(0);
    for (let index = 0; index < this.series.length; index++) {
      if (this.series[index].style === "area") this.drawArea(paint, history, this.series[index]);
    }
    for (let index = 0; index < this.series.length; index++) {
      const entry = this.series[index];
      if (entry.style === "line" || entry.style === "dashed") this.drawLine(paint, history, entry);
      if (entry.style === "mark") this.drawMarks(paint, history, entry);
    }
    if (this.empty && this.nothing(history)) {
      paint.fillStyle = palette.soft;
      paint.textAlign = "center";
      paint.fillText(this.empty, (MARGIN.left + right) / 2, bottom / 2);
    }
  }

  nothing(history) {
    for (let index = 0; index < this.series.length; index++) {
      const { style, data } = this.series[index];
      if (data && style !== "mark" && history.length > 0 && history.at(data, 0) !== UNKNOWN) return false;
    }
    return true;
  }

  /** The highest value to be shown, in grains. */
  top(history) {
    let reach = 0;
    const { lower, series } = this;
    lower.fill(0);
    for (let index = 0; index < series.length; index++) {
      const { style, data } = series[index];
      if (!data || style === "mark") continue;
      for (let age = 0; age < history.length; age++) {
        let value = history.at(data, age);
        if (value === UNKNOWN) continue;
        if (style === "area") value = lower[age] += value;
        if (value > reach) reach = value;
      }
    }
    return reach;
  }

  drawAxes(paint, top, step) {
    const { palette, right, bottom } = this;
    paint.font = palette.font;
    paint.fillStyle = palette.soft;
    paint.strokeStyle = palette.grid;
    paint.lineWidth = 1;
    paint.textAlign = "right";
    paint.textBaseline = "middle";
    paint.beginPath();
    const lines = Math.round(top / step);
    if (this.labelled !== top) {
      this.labelled = top;
      this.labels = Array.from({ length: lines + 1 }, (_, line) => this.unit.label(line * step));
    }
    for (let line = 0; line <= lines; line++) {
      const y = Math.round(bottom - ((bottom - MARGIN.top) * line) / lines) + 0.5;
      paint.moveTo(MARGIN.left, y);
      paint.lineTo(right, y);
      paint.fillText(this.labels[line], MARGIN.left - 6, y);
    }
    paint.stroke();
    paint.textBaseline = "alphabetic";
    for (let index = 0; index < TIMES.length; index++) {
      const seconds = index * 20;
      const x = right - ((right - MARGIN.left) * seconds) / SECONDS;
      paint.textAlign = seconds === 0 ? "right" : seconds === SECONDS ? "left" : "center";
      paint.fillText(TIMES[index], x, this.height - 4);
    }
  }

  /** Tints the times in which voices were fresh. */
  drawBands(paint, history) {
    paint.fillStyle = this.palette.band;
    let begin = -1;
    for (let age = 0; age <= history.length; age++) {
      const fresh = age < history.length && history.at(this.fresh, age) === 1;
      if (fresh && begin < 0) begin = age;
      if (!fresh && begin >= 0) {
        const x = this.xs[Math.min(age, POINTS - 1)] / FINE;
        const wide = this.xs[begin] / FINE - x;
        paint.fillRect(x, MARGIN.top, wide, this.bottom - MARGIN.top);
        if (wide > 34) {
          paint.fillStyle = this.palette.fresh;
          paint.textAlign = "left";
          paint.fillText("fresh", x + 4, MARGIN.top + 12);
          paint.fillStyle = this.palette.band;
        }
        begin = -1;
      }
    }
  }

  drawArea(paint, history, entry) {
    const { lower, xs, low, rise } = this;
    const count = history.length;
    this.scale(FINE);
    paint.beginPath();
    for (let age = 0; age < count; age++) paint.lineTo(xs[age], low - ((lower[age] * rise) >> PLACES));
    for (let age = count - 1; age >= 0; age--) {
      const value = history.at(entry.data, age);
      if (value !== UNKNOWN) lower[age] += value;
      paint.lineTo(xs[age], low - ((lower[age] * rise) >> PLACES));
    }
    this.scale(1);
    paint.fillStyle = this.palette[entry.color];
    paint.fill();
  }

  drawLine(paint, history, entry) {
    const { xs, low, rise } = this;
    this.scale(FINE);
    paint.beginPath();
    let drawing = false;
    for (let age = 0; age < history.length; age++) {
      const value = history.at(entry.data, age);
      if (value === UNKNOWN) {
        drawing = false;
        continue;
      }
      const y = low - ((value * rise) >> PLACES);
      if (drawing) paint.lineTo(xs[age], y);
      else paint.moveTo(xs[age], y);
      drawing = true;
    }
    this.scale(1);
    paint.strokeStyle = this.palette[entry.color];
    paint.lineWidth = 2;
    paint.lineJoin = "round";
    paint.setLineDash(entry.style === "dashed" ? DASHES : SOLID);
    paint.stroke();
    paint.setLineDash(SOLID);
  }

  drawMarks(paint, history, entry) {
    paint.fillStyle = this.palette[entry.color];
    for (let age = 0; age < history.length; age++) {
      if (history.at(entry.data, age) <= 0) continue;
      const x = this.xs[age] / FINE;
      paint.beginPath();
      paint.moveTo(x, this.bottom - 11);
      paint.lineTo(x + 5, this.bottom - 1);
      paint.lineTo(x - 5, this.bottom - 1);
      paint.fill();
    }
  }
}

const STATES = ["leased", "resting", "idle"];

/** Horizontal bars, one per kind: what is out, what rests, what is idle, and how many were made. */
export class BarChart extends Chart {
  constructor(parent, palette, options) {
    super(parent, palette, options);
    this.rows = options.rows;
    for (const row of this.rows) {
      row.names = STATES.map((state) => `${row.key}_${state}`);
      row.made = `${row.key}_created`;
      row.shown = NaN;
    }
    this.labels = [];
    this.labelled = NaN;
  }

  draw(paint, snapshot) {
    const { palette, width, height, rows, series } = this;
    const left = 62;
    const right = width - 92;
    const bottom = height - MARGIN.bottom;
    let most = UNITS.count.least;
    for (let index = 0; index < rows.length; index++) {
      const { names } = rows[index];
      const sum = snapshot[names[0]] + snapshot[names[1]] + snapshot[names[2]];
      if (sum > most) most = sum;
    }
    const step = stepFor(most, UNITS.count);
    const lines = Math.ceil(most / step - 1e-9);
    const dx = (right - left) / (step * lines);
    if (this.labelled !== step * lines) {
      this.labelled = step * lines;
      this.labels = Array.from({ length: lines + 1 }, (_, line) => formatCount(line * step));
    }
    paint.font = palette.font;
    paint.strokeStyle = palette.grid;
    paint.lineWidth = 1;
    paint.fillStyle = palette.soft;
    paint.textAlign = "center";
    paint.textBaseline = "alphabetic";
    paint.beginPath();
    for (let line = 0; line <= lines; line++) {
      const x = Math.round(left + line * step * dx) + 0.5;
      paint.moveTo(x, MARGIN.top);
      paint.lineTo(x, bottom);
      paint.fillText(this.labels[line], x, height - 4);
    }
    paint.stroke();
    const band = (bottom - MARGIN.top) / rows.length;
    const thick = Math.min(22, band * 0.62);
    paint.textBaseline = "middle";
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index];
      const middle = MARGIN.top + band * (index + 0.5);
      let from = left;
      for (let state = 0; state < STATES.length; state++) {
        const wide = snapshot[row.names[state]] * dx;
        paint.fillStyle = palette[series[state].color];
        paint.fillRect(from, middle - thick / 2, wide, thick);
        from += wide;
      }
      const made = snapshot[row.made];
      if (row.shown !== made) {
        row.shown = made;
        row.text = `${formatCount(made)} made`;
      }
      paint.textAlign = "right";
      paint.fillStyle = palette.ink;
      paint.fillText(row.label, left - 8, middle);
      paint.fillText(row.text, width - 4, middle);
    }
  }
}
