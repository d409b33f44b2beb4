// The diagram: a lane for each process and one for outside; time runs down. Only the rows
// that can be seen are drawn.

"use strict";

const ROW = 24;
const GUTTER = 44;
/** Where in a row its mark is: below its text. */
const MARK = 0.74;

/** So many letters are worth a place. */
const LEAST = 24;

/** The width of a letter, more or less. */
const LETTER = 6.9;
const SVG = "http://www.w3.org/2000/svg";

/** One colour for each lane, from ten. */
const LANE_COLORS = 10;

class Diagram {
  /**
   * `head` has the names of the lanes, `scroll` the rows. `onSelect(row)` is called when a
   * row is clicked.
   */
  constructor(head, scroll, onSelect) {
    this.head = head;
    this.scroll = scroll;
    this.space = scroll.appendChild(document.createElement("div"));
    this.space.className = "space";
    this.svg = scroll.appendChild(element("svg", {}));
    this.onSelect = onSelect;
    this.isQueued = false;
    scroll.addEventListener("scroll", () => this.queue());
    this.svg.addEventListener("click", (click) => {
      const box = scroll.getBoundingClientRect();
      const row = Math.floor((click.clientY - box.top + scroll.scrollTop) / ROW);
      if (this.view?.rows.list[row] !== undefined) this.onSelect(row);
    });
  }

  /** Shows rows and their arrows: `{ rows, facts, events, selected }`. */
  show(view) {
    this.view = view;
    // Else it would keep the space of rows that are no more.
    this.svg.style.top = "0px";
    this.space.style.height = `${(view.rows.list.length + 2) * ROW}px`;
    this.queue();
  }

  queue() {
    if (this.isQueued) return;
    this.isQueued = true;
    requestAnimationFrame(() => {
      this.isQueued = false;
      if (this.view !== undefined) this.draw();
    });
  }

  /** The next time it is drawn, this row is seen. */
  reveal(row) {
    this.revealed = row;
    this.queue();
  }

  /** Scrolls until the row is seen; to the end, if it is the last one. */
  scrollTo(row) {
    const { scroll } = this;
    const top = row * ROW;
    const isLast = row >= this.view.rows.list.length - 1;
    if (isLast) scroll.scrollTop = scroll.scrollHeight;
    else if (top < scroll.scrollTop || top > scroll.scrollTop + scroll.clientHeight - 2 * ROW) {
      scroll.scrollTop = top - scroll.clientHeight / 2;
    }
  }

  draw() {
    const { rows: { list, arrows }, facts, selected } = this.view;
    const { scroll, svg } = this;
    if (this.revealed !== undefined) this.scrollTo(this.revealed);
    this.revealed = undefined;
    const top = scroll.scrollTop;
    const height = scroll.clientHeight;
    const first = Math.max(0, Math.floor(top / ROW) - 1);
    const last = Math.min(list.length - 1, Math.ceil((top + height) / ROW));
    this.place(facts, scroll.clientWidth);
    svg.setAttribute("width", this.width);
    svg.setAttribute("height", height);
    svg.style.top = `${top}px`;
    const moved = element("g", { transform: `translate(0 ${-top})` });
    svg.replaceChildren(moved);
    if (list[selected] !== undefined) {
      const band = { x: 0, y: selected * ROW, width: this.width, height: ROW, class: "selected" };
      moved.append(element("rect", band));
    }
    this.drawLanes(moved, first, last);
    for (const arrow of arrows) {
      const [from, to] = [arrow.from.row, arrow.to.row];
      if (Math.max(from, to) >= first && Math.min(from, to) <= last) moved.append(this.arrow(arrow));
    }
    for (let at = first; at <= last; at += 1) moved.append(...this.row(list[at], at));
    this.drawHead(facts, list.slice(first, last + 1), list[selected]);
  }

  /** Where the lanes are. */
  place(facts, width) {
    const lanes = facts.byLane.length + (facts.hasOutside ? 1 : 0);
    const least = 104;
    this.step = Math.max(least, Math.min(190, (width - GUTTER - 260) / Math.max(1, lanes)));
    this.width = Math.max(width, GUTTER + lanes * this.step + 160);
    this.offset = facts.hasOutside ? 1 : 0;
  }

  laneX(lane) {
    return GUTTER + (lane + this.offset) * this.step + 30;
  }

  x(pid, number) {
    if (pid === OUTSIDE || pid === 0) return this.laneX(-1);
    const life = this.view.facts.life(pid, number);
    return life === undefined ? this.laneX(-1) : this.laneX(life.lane);
  }

  drawLanes(parent, first, last) {
    const { rows, facts } = this.view;
    const end = (last + 1) * ROW;
    const y = (number) => (number === null ? Infinity : (rows.before(number) + 0.5) * ROW);
    const line = (x, from, to, color) => {
      const [y1, y2] = [Math.max(from, first * ROW), Math.min(to, end)];
      if (y1 < y2) parent.append(element("line", { x1: x, x2: x, y1, y2, class: color }));
    };
    if (facts.hasOutside) line(this.laneX(-1), 0, Infinity, "outside");
    for (const life of facts.lives) {
      const x = this.laneX(life.lane);
      const color = `lane lane-${life.lane % LANE_COLORS}`;
      line(x, y(life.born), y(life.died), color);
      for (const { from, to } of life.stops) line(x, y(from), Math.min(y(to), y(life.died)), "stopped");
      if (life.died !== null) line(x, y(life.died), y(life.reaped), `${color} zombie`);
    }
  }

  arrow({ from, to, color }) {
    const { list } = this.view.rows;
    const middle = (end) => (end.row + MARK) * ROW;
    const [x1, x2] = [from, to].map((end) => this.x(end.pid, list[end.row].last));
    const [y1, y2] = [middle(from), middle(to)];
    const group = element("g", { class: `arrow ${color}` });
    group.append(element("line", { x1, y1, x2, y2 }));
    const angle = Math.atan2(y2 - y1, x2 - x1);
    const point = (turn, length) =>
      `${x2 - length * Math.cos(angle + turn)},${y2 - length * Math.sin(angle + turn)}`;
    group.append(element("polygon", { points: `${x2},${y2} ${point(0.4, 9)} ${point(-0.4, 9)}` }));
    return group;
  }

  row(row, at) {
    const y = at * ROW;
    const [text, color] = rowText(row, this.view.events, this.view.facts);
    if (row.kind === "gap") {
      const middle = y + ROW / 2;
      return [
        element("line", { x1: 0, x2: this.width, y1: middle, y2: middle, class: "gap" }),
        label(6, y + ROW * 0.68, text, "gap"),
      ];
    }
    const parts = [label(6, y + ROW * 0.68, row.time.toFixed(3), "time")];
    const x = row.pid === null ? this.laneX(-this.offset) : this.x(row.pid, row.last);
    if (row.pid !== null) {
      const mark = MARKS[row.kind] ?? "dot";
      parts.push(element("use", { href: `#mark-${mark}`, x, y: y + ROW * MARK, class: color }));
    }
    // On the right. On the left if it fits there only, or if there is hardly any room.
    const [left, right] = [x - GUTTER - 14, this.width - x - 14].map((it) => Math.floor(it / LETTER));
    const isLeft = text.length > right && (text.length <= left || right < LEAST);
    const most = isLeft ? left : right;
    const short = text.length > most ? `${text.slice(0, most - 1)}…` : text;
    const shown = label(isLeft ? x - 10 : x + 10, y + ROW * 0.46, short, color, isLeft);
    if (short !== text) shown.append(element("title", {}, text));
    parts.push(shown);
    return parts;
  }

  /** Above each lane, the processes that can be seen in it. */
  drawHead(facts, seen, selected) {
    const heads = facts.hasOutside ? [this.headOf(-1, ["outside"], "clients, you", "")] : [];
    const [from, to] = [seen[0]?.first ?? 0, seen.at(-1)?.last ?? 0];
    facts.byLane.forEach((lives, lane) => {
      const isSeen = ({ born, reaped }) => born <= to && (reaped ?? Infinity) >= from;
      const all = lives.filter(isSeen);
      if (all.length === 0) return;
      // The program of the one at the selected row, if that can be seen.
      const now = lifeAt(all, Math.min(Math.max(selected?.last ?? to, from), to));
      const program = facts.program(now.pid, to);
      const pids = all.map((it) => it.pid);
      heads.push(this.headOf(lane, pids, program, `lane-${lane % LANE_COLORS}`));
    });
    this.head.replaceChildren(...heads);
  }

  headOf(lane, names, text, color) {
    const head = document.createElement("div");
    head.className = "lane-head";
    head.style.left = `${this.laneX(lane) - this.step / 2 - this.scroll.scrollLeft}px`;
    head.style.width = `${this.step - 4}px`;
    const title = head.appendChild(document.createElement("b"));
    title.className = color;
    title.textContent = names.length > 2 ? `${names[0]}, …, ${names.at(-1)}` : names.join(", ");
    const under = head.appendChild(document.createElement("span"));
    under.textContent = text;
    head.title = `${names.join(", ")}: ${text}`;
    return head;
  }
}

/** The shapes of events; every other kind is a dot. */
const MARKS = { fork: "dot", exec: "diamond", exit: "cross", eof: "ring", stop: "bar", fold: "ring" };

function element(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Text is set as text: what programs print is never markup. */
function label(x, y, text, color, isLeft = false) {
  const made = element("text", { x, y, class: `label ${color}` });
  if (isLeft) made.setAttribute("text-anchor", "end");
  made.textContent = text;
  return made;
}
