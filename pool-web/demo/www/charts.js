// Small canvas charts: one minute of history, crisp on any screen, and cheap, since they run beside the audio timer.
// Nothing is allocated per frame but the canvas' own state; colours come from the style sheet.

/** Points kept: one minute at four per second. */
export const POINTS = 241;
const SECONDS = 60;
/** One redraw in this many for charts out of sight. */
const SKIP = 8;
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

/** How each unit is written at the axis, and where its ticks may stand. */
export const UNITS = {
  bytes: { label: (v) => (v === 0 ? "0" : v >= MIB ? `${+(v / MIB).toFixed(1)} MiB` : `${Math.round(v / KIB)} KiB`), base: 2, least: 64 * KIB },
  perSecond: { label: (v) => (v === 0 ? "0" : `${formatCount(v)}/s`), base: 10, least: 10 },
  percent: { label: (v) => `${Math.round(v * 100)} %`, base: 10, least: 0.1 },
  ms: { label: (v) => (v === 0 ? "0" : `${+v.toFixed(1)} ms`), base: 10, least: 10 },
  us: { label: (v) => (v === 0 ? "0" : v >= 1000 ? `${+(v / 1000).toFixed(1)} ms` : `${Math.round(v)} µs`), base: 10, least: 20 },
  count: { label: (v) => formatCount(v), base: 10, least: 10 },
};

/** The smallest round step with which four or fewer steps reach `top`. */
function stepFor(top, unit) {
  const rough = Math.max(top, unit.least) / 4;
  const power = unit.base === 2 ? 2 ** Math.floor(Math.log2(rough)) : 10 ** Math.floor(Math.log10(rough));
  const factors = unit.base === 2 ? [1, 1.5, 2] : [1, 2, 5, 10];
  return power * factors.find((factor) => power * factor >= rough * 0.9999);
}

/** Columns of numbers over time, in rings of fixed size. */
export class History {
  constructor(names) {
    this.columns = {};
    for (const name of names) this.columns[name] = new Float64Array(POINTS).fill(NaN);
    this.head = 0;
    this.length = 0;
  }

  push(values) {
    for (const name in this.columns) this.columns[name][this.head] = values[name] ?? NaN;
    this.head = (this.head + 1) % POINTS;
    this.length = Math.min(this.length + 1, POINTS);
  }

  /** Value of a column `age` points ago; NaN where nothing is known. */
  at(name, age) {
    return age >= this.length ? NaN : this.columns[name][(this.head - 1 - age + POINTS) % POINTS];
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
    const mark = {
      area: '<rect width="16" height="10" rx="2" fill="C"/>',
      line: '<path d="M0 5h16" stroke="C" stroke-width="2.5"/>',
      dashed: '<path d="M0 5h16" stroke="C" stroke-width="2.5" stroke-dasharray="4 2.5"/>',
      mark: '<path d="M8 0l6 10H2z" fill="C"/>',
    }[entry.style];
    item.innerHTML = `<svg viewBox="0 0 16 10" aria-hidden="true">${mark.replace("C", `var(--${entry.color})`)}</svg>`;
    entry.value = document.createElement("b");
    entry.text = "";
    item.append(entry.label, entry.value);
    return item;
  }

  fit() {
    const ratio = Math.min(devicePixelRatio || 1, 3);
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.redraw();
  }

  /** Draws the data of `source`, a History or a snapshot; with `texts` the legend too, where it has changed. */
  show(source, texts) {
    this.source = source;
    for (const entry of texts ? this.series : []) {
      const text = entry.read(source);
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

/** Lines and stacked areas over the last minute. */
export class TimeChart extends Chart {
  constructor(parent, palette, options) {
    super(parent, palette, options);
    this.unit = UNITS[options.unit];
    this.floor = options.floor ?? 0;
    this.empty = options.empty;
    this.lower = new Float64Array(POINTS);
  }

  draw(paint, history) {
    const { palette, width, height } = this;
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const dx = (right - MARGIN.left) / (POINTS - 1);
    const step = stepFor(this.top(history), this.unit);
    const top = step * Math.max(1, Math.ceil(this.reach / step - 1e-9));
    const dy = (bottom - MARGIN.top) / top;
    this.drawAxes(paint, { right, bottom, top, step, dy });
    this.drawBands(paint, history, { right, bottom, dx });

    this.lower.fill(0);
    for (const entry of this.series) {
      if (entry.style === "area") this.drawArea(paint, history, entry, { right, bottom, dx, dy });
    }
    for (const entry of this.series) {
      if (entry.style === "line" || entry.style === "dashed") this.drawLine(paint, history, entry, { right, bottom, dx, dy });
      if (entry.style === "mark") this.drawMarks(paint, history, entry, { right, bottom, dx });
    }
    if (this.empty && this.nothing(history)) {
      paint.fillStyle = palette.soft;
      paint.textAlign = "center";
      paint.fillText(this.empty, (MARGIN.left + right) / 2, bottom / 2);
    }
  }

  nothing(history) {
    return this.series.every((entry) => entry.style === "mark" || !Number.isFinite(history.at(entry.column, 0)));
  }

  /** The highest value to be shown. */
  top(history) {
    let reach = this.floor;
    const columns = this.series;
    for (let age = 0; age < history.length; age++) {
      let sum = 0;
      for (const entry of columns) {
        if (entry.style === "mark") continue;
        const value = history.at(entry.column, age);
        if (!(value >= 0)) continue;
        if (entry.style === "area") sum += value;
        else if (value > reach) reach = value;
      }
      if (sum > reach) reach = sum;
    }
    this.reach = Math.max(reach * 1.04, this.unit.least);
    return this.reach;
  }

  drawAxes(paint, { right, bottom, top, step, dy }) {
    const { palette } = this;
    paint.font = palette.font;
    paint.fillStyle = palette.soft;
    paint.strokeStyle = palette.grid;
    paint.lineWidth = 1;
    paint.textAlign = "right";
    paint.textBaseline = "middle";
    paint.beginPath();
    for (let value = 0; value <= top * 1.0001; value += step) {
      const y = Math.round(bottom - value * dy) + 0.5;
      paint.moveTo(MARGIN.left, y);
      paint.lineTo(right, y);
      paint.fillText(this.unit.label(value), MARGIN.left - 6, y);
    }
    paint.stroke();
    paint.textBaseline = "alphabetic";
    for (let seconds = 0; seconds <= SECONDS; seconds += 20) {
      const x = right - ((right - MARGIN.left) * seconds) / SECONDS;
      paint.textAlign = seconds === 0 ? "right" : seconds === SECONDS ? "left" : "center";
      paint.fillText(seconds === 0 ? "now" : `${seconds} s ago`, x, this.height - 4);
    }
  }

  /** Tints the times in which voices were fresh. */
  drawBands(paint, history, { right, bottom, dx }) {
    paint.fillStyle = this.palette.band;
    let begin = -1;
    for (let age = 0; age <= history.length; age++) {
      const fresh = age < history.length && history.at("fresh", age) === 1;
      if (fresh && begin < 0) begin = age;
      if (!fresh && begin >= 0) {
        const x = right - age * dx;
        const wide = (age - begin) * dx;
        paint.fillRect(x, MARGIN.top, wide, bottom - MARGIN.top);
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

  drawArea(paint, history, entry, { right, bottom, dx, dy }) {
    const { lower } = this;
    const count = history.length;
    paint.beginPath();
    for (let age = 0; age < count; age++) {
      const value = history.at(entry.column, age);
      paint.lineTo(right - age * dx, bottom - (lower[age] + (value >= 0 ? value : 0)) * dy);
    }
    for (let age = count - 1; age >= 0; age--) paint.lineTo(right - age * dx, bottom - lower[age] * dy);
    paint.fillStyle = this.palette[entry.color];
    paint.fill();
    for (let age = 0; age < count; age++) {
      const value = history.at(entry.column, age);
      if (value >= 0) lower[age] += value;
    }
  }

  drawLine(paint, history, entry, { right, bottom, dx, dy }) {
    paint.beginPath();
    let drawing = false;
    for (let age = 0; age < history.length; age++) {
      const value = history.at(entry.column, age);
      if (!(value >= 0)) {
        drawing = false;
        continue;
      }
      const x = right - age * dx;
      const y = bottom - value * dy;
      if (drawing) paint.lineTo(x, y);
      else paint.moveTo(x, y);
      drawing = true;
    }
    paint.strokeStyle = this.palette[entry.color];
    paint.lineWidth = 2;
    paint.lineJoin = "round";
    paint.setLineDash(entry.style === "dashed" ? [6, 4] : []);
    paint.stroke();
    paint.setLineDash([]);
  }

  drawMarks(paint, history, entry, { right, bottom, dx }) {
    paint.fillStyle = this.palette[entry.color];
    for (let age = 0; age < history.length; age++) {
      if (!(history.at(entry.column, age) > 0)) continue;
      const x = right - age * dx;
      paint.beginPath();
      paint.moveTo(x, bottom - 11);
      paint.lineTo(x + 5, bottom - 1);
      paint.lineTo(x - 5, bottom - 1);
      paint.fill();
    }
  }
}

/** Horizontal bars, one per kind: what is out, what rests, what is idle, and how many were made. */
export class BarChart extends Chart {
  constructor(parent, palette, options) {
    super(parent, palette, options);
    this.rows = options.rows;
  }

  draw(paint, snapshot) {
    const { palette, width, height, rows } = this;
    const left = 62;
    const right = width - 92;
    const bottom = height - MARGIN.bottom;
    let most = UNITS.count.least;
    for (const row of rows) most = Math.max(most, snapshot[`${row.key}_leased`] + snapshot[`${row.key}_resting`] + snapshot[`${row.key}_idle`]);
    const step = stepFor(most, UNITS.count);
    const top = step * Math.ceil(most / step - 1e-9);
    const dx = (right - left) / top;
    paint.font = palette.font;
    paint.strokeStyle = palette.grid;
    paint.lineWidth = 1;
    paint.fillStyle = palette.soft;
    paint.textAlign = "center";
    paint.textBaseline = "alphabetic";
    paint.beginPath();
    for (let value = 0; value <= top * 1.0001; value += step) {
      const x = Math.round(left + value * dx) + 0.5;
      paint.moveTo(x, MARGIN.top);
      paint.lineTo(x, bottom);
      paint.fillText(formatCount(value), x, height - 4);
    }
    paint.stroke();
    const band = (bottom - MARGIN.top) / rows.length;
    const thick = Math.min(22, band * 0.62);
    paint.textBaseline = "middle";
    for (const [index, row] of rows.entries()) {
      const middle = MARGIN.top + band * (index + 0.5);
      let from = left;
      for (const entry of this.series) {
        const wide = snapshot[`${row.key}_${entry.state}`] * dx;
        paint.fillStyle = palette[entry.color];
        paint.fillRect(from, middle - thick / 2, wide, thick);
        from += wide;
      }
      paint.textAlign = "right";
      paint.fillStyle = palette.ink;
      paint.fillText(row.label, left - 8, middle);
      paint.fillText(`${formatCount(snapshot[`${row.key}_created`])} made`, width - 4, middle);
    }
  }
}
