// The chart of the study: score against cost, one mark for each model.
function scaleOf(values, from, to, apart) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const log = low > 0 && high / low > 5;
  const [there, back] = log ? [Math.log10, (v) => 10 ** v] : [Number, Number];
  const pad = (there(high) - there(low)) * 0.06 || Math.abs(there(high)) * 0.1 || 1;
  [low, high] = [there(low) - pad, there(high) + pad];
  const scale = (value) => from + ((there(value) - low) / (high - low)) * (to - from);
  const marks = log ? logTicks(back(low), back(high)) : ticks(low, high, Math.abs(to - from) / apart);
  return { scale, marks };
}
function logTicks(low, high) {
  const found = [];
  for (let at = Math.floor(Math.log10(low)); at <= Math.log10(high); at += 1)
    for (const factor of [1, 2, 5]) if (factor * 10 ** at >= low && factor * 10 ** at <= high) found.push(factor * 10 ** at);
  return found;
}

function pointText(point) {
  const unit = content.chart.unit;
  return [`FD ${number(point.mean)}${spread(point.half, point.mean)}`, `${whole(point.seconds)} ${unit}`,
    `${point.density}, ${point.seeds} ${point.seeds === 1 ? "seed" : "seeds"}`, point.family];
}

function shortNames(points) {
  const bases = points.map((point) => point.name.split(" (")[0]);
  return points.map((point, at) => bases.filter((base) => base === bases[at]).length === 1 ? bases[at] : point.name);
}

// Puts each name beside its mark where it covers no mark and no other name, and no bar if possible.
function placeNames(marks, bars, names, width) {
  const taken = marks.map(({ x, y }) => [x - 7, y - 7, x + 7, y + 7]);
  const covers = (box, others) => others.some((o) => box[0] < o[2] && box[2] > o[0] && box[1] < o[3] && box[3] > o[1]);
  return names.map((name, at) => {
    const { x, y } = marks[at];
    const long = name.length * 6.9;
    const places = [["start", x + 10, y + 4], ["end", x - 10, y + 4], ["start", x + 7, y - 8], ["end", x - 7, y - 8], ["start", x + 7, y + 17], ["end", x - 7, y + 17]];
    const free = places.map(([anchor, left, base]) => {
      const box = anchor === "start" ? [left, base - 11, left + long, base + 3] : [left - long, base - 11, left, base + 3];
      return { anchor, x: left, y: base, name, box };
    }).filter(({ box }) => box[0] > 44 && box[2] < width && !covers(box, taken));
    const found = free.find(({ box }) => !covers(box, bars)) ?? free[0];
    if (found) taken.push(found.box);
    return found;
  });
}

function drawChart() {
  const points = (content.chart?.points ?? []).filter((point) => point.seconds !== undefined && point.seconds !== null);
  const figure = part("study");
  if (!figure) return;
  figure.hidden = points.length < 2;
  if (figure.hidden) return;
  const width = part("chart").clientWidth;
  const height = Math.max(280, Math.min(460, width * 0.5));
  const [left, right, top, bottom] = [48, 16, 26, 42];
  const x = scaleOf(points.map((point) => point.seconds), left, width - right, 80);
  const ends = points.flatMap((point) => [point.mean - (point.half ?? 0), point.mean + (point.half ?? 0)]);
  const y = scaleOf(ends, height - bottom, top, 60);
  const marks = points.map((point) => ({ x: x.scale(point.seconds), y: y.scale(point.mean) }));
  const bars = points.map((point, at) => [marks[at].x - 1, y.scale(point.mean + (point.half ?? 0)), marks[at].x + 1, y.scale(point.mean - (point.half ?? 0))]);
  const names = placeNames(marks, bars, shortNames(points), width);
  const order = points.map((_, at) => at).sort((a, b) => points[a].seconds - points[b].seconds);
  const groups = points.map((point, at) => mark(point, marks[at], y, order, at));
  const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": `${content.chart.y} against ${content.chart.x}; arrow keys move between models` },
    y.marks.map((value) => [draw("line", { class: "grid", x1: left, x2: width - right, y1: y.scale(value), y2: y.scale(value) }),
      draw("text", { x: left - 8, y: y.scale(value) + 4, "text-anchor": "end" }, whole(value))]),
    draw("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    x.marks.map((value) => [draw("line", { class: "axis", x1: x.scale(value), x2: x.scale(value), y1: height - bottom, y2: height - bottom + 4 }),
      draw("text", { x: x.scale(value), y: height - bottom + 18, "text-anchor": "middle" }, whole(value))]),
    draw("text", { x: 0, y: 12 }, content.chart.y),
    draw("text", { x: width - right, y: height - 6, "text-anchor": "end" }, `${content.chart.x} →`),
    groups,
    names.map((label) => label && draw("text", { class: "name", x: label.x, y: label.y, "text-anchor": label.anchor, "aria-hidden": "true" }, label.name)));
  part("chart").replaceChildren(picture);
  const families = FAMILIES.filter((family) => points.some((point) => point.family === family));
  part("legend").replaceChildren(...families.map((family) => el("li", {}, symbol(family), family)));
}

function mark(point, at, y, order, index) {
  const half = point.half ?? 0;
  const [up, down] = [y.scale(point.mean + half), y.scale(point.mean - half)];
  const place = order.indexOf(index);
  const group = draw("g", {
    class: `point ${styleOf(point.family)}`, tabindex: place ? "-1" : "0", role: "button",
    "aria-label": [point.name, ...pointText(point)].join(", "),
    mouseenter: () => readOut(point, at), focus: () => readOut(point, at),
    mouseleave: hideReadout, blur: hideReadout, click: () => openCard(point.card),
    keydown: (event) => moveAmong(event, order, place, point),
  }, draw("circle", { class: "halo", cx: at.x, cy: at.y, r: 11 }),
  half && draw("line", { class: "spread", x1: at.x, x2: at.x, y1: up, y2: down }),
  draw("path", { class: "mark", d: SHAPES[point.family], transform: `translate(${at.x} ${at.y})` }));
  group.dataset.place = place;
  return group;
}

function moveAmong(event, order, place, point) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === "Enter" || event.key === " ") openCard(point.card);
  else if (step) {
    const next = (place + step + order.length) % order.length;
    for (const group of part("chart").querySelectorAll(".point")) {
      const own = Number(group.dataset.place) === next;
      group.setAttribute("tabindex", own ? "0" : "-1");
      if (own) group.focus();
    }
  } else return;
  event.preventDefault();
}

function readOut(point, at) {
  const box = part("readout");
  box.replaceChildren(el("b", { dir: "auto" }, point.name), ...pointText(point).map((text) => el("div", {}, text)));
  box.hidden = false;
  const room = part("chart").clientWidth;
  box.style.left = `${Math.max(0, Math.min(room - box.offsetWidth, at.x < room / 2 ? at.x + 16 : at.x - 16 - box.offsetWidth))}px`;
  box.style.top = `${Math.max(0, at.y - box.offsetHeight / 2)}px`;
}
function hideReadout() {
  part("readout").hidden = true;
}
