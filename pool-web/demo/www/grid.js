// The groove as a grid of toggle buttons. One tab stop; arrow keys, Home and End move within it.

const STEPS = 16;

export class Grid {
  /** `demo` answers `isSet(row, step)` and `toggle(row, step)`. */
  constructor(root, rows, demo) {
    this.root = root;
    this.cells = rows.map((label, row) => {
      const line = document.createElement("div");
      line.className = "track";
      const name = document.createElement("span");
      name.textContent = label;
      line.append(name);
      const cells = Array.from({ length: STEPS }, (_, step) => {
        const cell = document.createElement("button");
        cell.type = "button";
        cell.tabIndex = row === 0 && step === 0 ? 0 : -1;
        cell.setAttribute("aria-label", `${label}, step ${step + 1}`);
        cell.setAttribute("aria-pressed", demo.isSet(row, step));
        cell.addEventListener("click", () => cell.setAttribute("aria-pressed", demo.toggle(row, step)));
        cell.addEventListener("focus", () => this.enter(row, step));
        line.append(cell);
        return cell;
      });
      root.append(line);
      return cells;
    });
    this.current = this.cells[0][0];
    root.addEventListener("keydown", (event) => this.onKey(event));
    this.head = document.createElement("div");
    this.head.className = "playhead";
    root.append(this.head);
    this.step = -1;
    new ResizeObserver(() => this.measure()).observe(root);
  }

  enter(row, step) {
    this.current.tabIndex = -1;
    this.current = this.cells[row][step];
    this.current.tabIndex = 0;
    this.row = row;
    this.column = step;
  }

  onKey(event) {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    let { row = 0, column = 0 } = this;
    if (move) {
      row = (row + move[0] + this.cells.length) % this.cells.length;
      column = (column + move[1] + STEPS) % STEPS;
    } else if (event.key === "Home") column = 0;
    else if (event.key === "End") column = STEPS - 1;
    else return;
    event.preventDefault();
    this.cells[row][column].focus();
  }

  measure() {
    this.places = this.cells[0].map((cell) => cell.offsetLeft);
    this.head.style.width = `${this.cells[0][0].offsetWidth + 4}px`;
    this.place();
  }

  /** Shows the step that sounds; -1 hides the mark. Writes a style only when the step has changed. */
  show(step) {
    if (step === this.step) return;
    this.step = step;
    this.place();
  }

  place() {
    const visibility = this.step < 0 ? "hidden" : "visible";
    if (this.head.style.visibility !== visibility) this.head.style.visibility = visibility;
    if (this.step >= 0 && this.places) this.head.style.transform = `translateX(${this.places[this.step] - 2}px)`;
  }
}
