// The card of a model, and what sets the page up.
let scoresOf = null;

function allScores() {
  if (!scoresOf) {
    scoresOf = new Map();
    for (const board of content.boards) for (const row of board.rows) scoresOf.set(row.card, [...(scoresOf.get(row.card) ?? []), [board, row]]);
  }
  return scoresOf;
}

function openCard(key) {
  const card = content.cards[key];
  if (!card) return;
  state.card = key;
  writeAddress(true);
  showCard(card, key);
}

function showCard(card, key) {
  const dialog = part("card");
  const close = el("button", { type: "button", class: "close", "aria-label": "Close", click: () => dialog.close() }, "×");
  const facts = card.facts.map(([title, own]) => section(title, own.length && el("dl", { class: "facts" }, own.map((at) => [el("dt", {}, content.facts[at][0]), el("dd", { dir: "auto" }, content.facts[at][1])]))));
  dialog.replaceChildren(
    el("div", { class: "top" }, el("div", {}, el("h2", { id: "card-title", dir: "auto" }, card.name), el("p", {}, card.where)), close),
    el("div", { class: "sheet" },
      section("Pictures", gallery(card)),
      section("Scores", scores(allScores().get(key) ?? [])),
      section("Training curves", curves(card)),
      section("Command", card.command && [el("pre", { tabindex: "0" }, card.command), el("p", { class: "muted" }, "It trains this model, and what else its suite lists under the same words.")]),
      facts,
      section("Runs", runs(card))));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function section(title, body) {
  const filled = Array.isArray(body) ? body.some(Boolean) : body;
  return filled ? [el("h3", {}, title), body] : [];
}

function gallery(card) {
  const shown = card.pictures.filter(([, key]) => content.pictures[key]);
  return shown.length && el("div", { class: "gallery" }, shown.map(([caption, key]) =>
    el("figure", {}, el("figcaption", {}, caption), picture(key, `${caption} of ${card.name}`))));
}

function scores(found) {
  const titles = found.map(([board, row]) => `${board.score} of ${board.of}${row.model ? `, ${row.model} with ${row.density}` : ""}`);
  const protocols = (title) => found.filter((_, at) => titles[at] === title).map(([board]) => board.protocol);
  const told = (at) => {
    const alike = protocols(titles[at]);
    const apart = alike.length > 1 ? differences(alike)[alike.indexOf(found[at][0].protocol)] : "";
    return apart ? `${titles[at]} (${apart})` : titles[at];
  };
  return found.length && el("div", { class: "wide" }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, ["score", "mean ± 95 %", "rank", "seeds"].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, found.map(([board, row], at) => el("tr", {},
      el("th", { scope: "row" }, el("button", { type: "button", click: () => goTo(board.key) }, told(at))),
      el("td", {}, row.mean === undefined ? "–" : `${row.sign ? `${row.sign} ` : ""}${number(row.mean)}${spread(row.half, row.mean)}`),
      el("td", {}, row.rank ? `${row.rank.replace(" to ", "–")}${isRank(row.rank) ? ` of ${board.rows.length}` : ""}` : "–"), el("td", {}, String(row.seeds)))))));
}

function goTo(key) {
  Object.assign(state, { board: key, sort: "mean", down: "", find: "" });
  part("card").close();
  showBoard();
  writeAddress(true);
  part("heading").scrollIntoView();
}

function curves(card) {
  const terms = card.curves;
  return terms.length && [el("p", { class: "muted" }, "Blue: validation; grey: training. Each term over the steps, the first seed."),
    el("div", { class: "curves" }, terms.map(([term, splits]) => el("figure", {}, el("figcaption", {}, term), curve(term, splits))))];
}

function curve(term, splits) {
  const points = Object.values(splits).flat();
  if (!points.length) return "";
  const [width, height, left, bottom] = [240, 110, 44, 16];
  const range = (at) => [points.map((p) => p[at]).reduce((a, b) => Math.min(a, b)), points.map((p) => p[at]).reduce((a, b) => Math.max(a, b))];
  const [[x0, x1], [y0, y1]] = [range(0), range(1)];
  const x = (value) => left + ((value - x0) / (x1 - x0 || 1)) * (width - left);
  const y = (value) => 6 + (1 - (value - y0) / (y1 - y0 || 1)) * (height - bottom - 6);
  const path = ([split, own]) => own.length && draw("path", { class: split, d: `M${own.map((p) => `${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`).join("L")}` });
  const text = (value) => Number(value.toPrecision(3)).toLocaleString("en");
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${term} from ${text(points[0][1])} to ${text(points.at(-1)[1])}` },
    draw("line", { x1: left, x2: width, y1: y(y0), y2: y(y0) }), draw("line", { x1: left, x2: width, y1: y(y1), y2: y(y1) }),
    draw("text", { x: left - 5, y: y(y0) + 4, "text-anchor": "end" }, text(y0)), y1 > y0 && draw("text", { x: left - 5, y: y(y1) + 4, "text-anchor": "end" }, text(y1)),
    draw("text", { x: width, y: height - 2, "text-anchor": "end" }, `${whole(x1)} steps`),
    Object.entries(splits).sort().map(path));
}

function runs(card) {
  return el("div", { class: "wide" }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, ["seed", "run", "state", "steps", "compute s", "device", "SHA-256 of the weights"].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, card.runs.map(([seed, run, ended, steps, seconds, device, weights]) => el("tr", {},
      el("th", { scope: "row" }, String(seed)), el("td", {}, el("code", {}, run)), el("td", {}, ended), el("td", {}, whole(steps)), el("td", {}, seconds || "–"), el("td", { class: "text" }, device), el("td", { class: "text" }, weights ? el("code", {}, weights) : "not on record"))))));
}

function show() {
  readAddress();
  showBoard();
  const card = content.cards[state.card];
  if (card) showCard(card, state.card);
  else if (part("card").open) part("card").close();
}

part("card").addEventListener("close", () => {
  state.card = "";
  writeAddress(false);
});
part("card").addEventListener("click", (event) => {
  if (event.target === part("card")) part("card").close();
});
part("choice").addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("popstate", show);
window.addEventListener("beforeprint", () => {
  if (present()) drawBoard(Infinity);
});
if (content.left_out) part("left").textContent = `${whole(content.left_out)} pictures are left out to keep the page small; they are in the plots of each suite.`;
if (part("chart")) {
  let width = 0;
  new ResizeObserver(() => {
    if (part("chart").clientWidth === width) return;
    width = part("chart").clientWidth;
    drawChart();
  }).observe(part("chart"));
  drawChart();
}
show();
