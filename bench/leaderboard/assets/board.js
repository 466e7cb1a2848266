// The board: chosen by what tells boards apart, its rows drawn a few at a time.
const CHOICES = [["dataset", "Data set"], ["network", "Network"], ["size", "Latent size"], ["score", "Score"], ["of", "Of"], ["suite", "Suite"], ["protocol", "Protocol"]];
const ARROW = / [↑↓→]$/;
const FIRST_ROWS = 40;
const MORE_ROWS = 100;
const boards = new Map(content.boards.map((board) => [board.key, board]));
let drawing = 0;

const present = () => boards.get(state.board) ?? boards.get(content.first);
const likelihoodOf = (row) => content.cards[row.card]?.likelihood;
const VALUES = {
  rank: (row) => row.low, name: (row) => row.name.toLowerCase(), mean: (row) => row.mean,
  seeds: (row) => row.seeds, bits: (row) => likelihoodOf(row)?.mean, seconds: (row) => row.seconds,
};

function drawChoices() {
  const board = present();
  let left = content.boards;
  const controls = CHOICES.flatMap(([field, label], at) => {
    const values = [...new Set(left.map((other) => other[field]))];
    left = left.filter((other) => other[field] === board[field]);
    if (at > 3 && values.length < 2) return [];
    const texts = field === "protocol" ? differences(values) : values;
    const options = values.map((value, place) => el("option", { value, selected: value === board[field] }, texts[place]));
    return [el("label", {}, label, el("select", { disabled: values.length < 2, id: `choose-${field}`, change: (event) => choose(at, event.target.value) }, options))];
  });
  const find = el("input", { type: "search", id: "find", value: state.find, placeholder: "name", dir: "auto", input: (event) => { state.find = event.target.value; drawBoard(); writeAddress(false); } });
  part("choice").replaceChildren(...controls, el("label", { class: "find" }, "Filter models", find));
  part("choice").hidden = false;
}

// What protocols do not all have in common.
function differences(protocols) {
  const parts = protocols.map((text) => text.split(", "));
  return parts.map((own) => own.filter((word) => !parts.every((other) => other.includes(word))).join(", "));
}

// Takes the board that has the chosen value and, of what follows, most in common with this one.
function choose(at, value) {
  const board = present();
  const fields = CHOICES.map(([field]) => field);
  const likely = (other) => fields.slice(at + 1).reduce((sum, field, place) => sum + (other[field] === board[field]) / 2 ** place, 0);
  const found = content.boards.filter((other) => fields.slice(0, at).every((field) => other[field] === board[field]) && other[fields[at]] === value);
  state.board = found.reduce((best, other) => (likely(other) > likely(best) ? other : best)).key;
  Object.assign(state, { sort: "mean", down: "" });
  showBoard();
  writeAddress(true);
  part(`choose-${fields[at]}`)?.focus();
}

function showBoard() {
  const board = present();
  if (!board) return void (part("told").textContent = "There are no entries.");
  drawChoices();
  part("heading").textContent = `${board.score.replace(ARROW, "")} of ${board.of}`;
  part("protocol").textContent = `Protocol: ${board.protocol}. Suite: ${board.suite}.${board.unit ? ` Unit: ${board.unit}.` : ""} ${board.unranked} ${board.steps} ${board.references}`;
  part("notes").replaceChildren(...board.notes.map((text, at) => el("li", { id: `note-${at + 1}` }, text)));
  drawBoard();
}

function sorted(board) {
  const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = board.rows.filter((row) => words.every((word) => row.name.toLowerCase().includes(word)));
  const value = VALUES[state.sort] ?? VALUES.mean;
  const higher = state.sort === "mean" && board.better === "higher";
  const sign = (state.down === "1") !== higher ? -1 : 1;
  const compare = (a, b) => {
    const [first, second] = [value(a), value(b)];
    if (first === undefined || second === undefined) return (first === undefined) - (second === undefined);
    return first < second ? -sign : first > second ? sign : 0;
  };
  return rows.sort(compare);
}

const inOrder = () => !state.down && !(state.sort in VALUES && state.sort !== "mean");

function sortBy(name) {
  Object.assign(state, state.sort === name ? { down: state.down ? "" : "1" } : { sort: name, down: "" });
  drawBoard();
  writeAddress(false);
  part("board").querySelector(`[data-sort="${name}"]`)?.focus();
}

function heading(name, title, style, more) {
  const active = (VALUES[state.sort] ? state.sort : "mean") === name;
  const higher = name === "mean" && present().better === "higher";
  const order = (state.down === "1") !== higher ? "descending" : "ascending";
  return el("th", { role: "columnheader", class: style, "aria-sort": active ? order : undefined }, el("button", { type: "button", "data-sort": name, click: () => sortBy(name) }, title), more);
}

// The span of the means, with room for the usual interval; longer intervals are cut off.
function spanOf(rows) {
  const scored = rows.filter((row) => row.mean !== undefined);
  if (!scored.length) return [0, 1];
  const means = scored.map((row) => row.mean);
  const halves = scored.map((row) => row.half ?? 0).sort((a, b) => a - b);
  let [low, high] = [means.reduce((a, b) => Math.min(a, b)), means.reduce((a, b) => Math.max(a, b))];
  const pad = Math.max(halves[Math.floor(halves.length / 2)], (high - low) * 0.08) || Math.abs(low) * 0.1 || 1;
  return [low - pad, high + pad];
}

function drawBoard(first = FIRST_ROWS) {
  const board = present();
  const rows = sorted(board);
  const span = spanOf(board.rows);
  const marks = ticks(...span, 3);
  const at = (value) => (100 * (value - span[0])) / (span[1] - span[0]);
  const bits = board.metric !== "bits_per_dim" && board.rows.some(likelihoodOf);
  const pictures = board.rows.some((row) => content.pictures[row.picture]);
  const axis = el("span", { class: "ticks", "aria-hidden": "true" }, marks.map((value) => {
    const mark = el("span", {}, number(value, Math.max(Math.abs(span[0]), Math.abs(span[1]))).replace(/\.0+$/, ""));
    mark.style.left = `${at(value)}%`;
    return mark;
  }));
  const columns = [heading("rank", "rank", "rank"), heading("name", "model", "model"),
    pictures && el("th", { role: "columnheader", class: "pictures" }, board.images === "test" ? "own samples" : board.of.split(",")[0]),
    heading("mean", board.score, "mean number"),
    el("th", { role: "columnheader", class: "bar-head" }, el("span", { class: "hidden" }, "interval"), axis),
    heading("seeds", "seeds", "seeds number"), bits && heading("bits", "bits/dim", "bits number"), heading("seconds", "compute s", "cost number")];
  const table = el("table", { class: "board", role: "table", "aria-rowcount": rows.length + 1 }, el("caption", { class: "hidden" }, part("heading").textContent),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, columns.filter(Boolean))));
  const strips = board.rows.map((row) => content.pictures[row.picture]?.width ?? 0).reduce((a, b) => Math.max(a, b), 0);
  const widths = ["var(--rank)", "minmax(0, 1fr)", pictures && `calc(${strips || 231}px * var(--scale) + 2 * var(--pad))`, "var(--mean)", "minmax(0, 1fr)", "var(--seeds)", bits && "var(--bits)", "var(--cost)"];
  table.style.setProperty("--columns", widths.filter(Boolean).join(" "));
  part("board").replaceChildren(table);
  const shown = { board, rows, at, marks, bits, pictures, table };
  part("told").textContent = tell(board, rows);
  drawing += 1;
  append(shown, 0, first);
  later(shown, first, drawing);
}

function tell(board, rows) {
  const missing = state.board && !boards.has(state.board) ? "The link names a board that is not here; this is the first. " : "";
  const count = `${whole(rows.length)}${rows.length < board.rows.length ? ` of ${whole(board.rows.length)}` : ""} ${board.rows.length === 1 ? "entry" : "entries"}`;
  const ranks = new Set(board.rows.map((row) => row.rank));
  const alike = ranks.size === 1 && board.rows.length > 1 && isRank(board.rows[0].rank) ? "; the seeds separate none of them" : "";
  return `${missing}${count}${alike}.`;
}

// The rest follows while nothing else is to be done. Rows that are not in view are not laid out.
function later(shown, from, turn) {
  if (from >= shown.rows.length) return;
  const soon = window.requestIdleCallback ?? ((work) => setTimeout(work, 16));
  soon(() => {
    if (turn !== drawing) return;
    append(shown, from, from + MORE_ROWS);
    later(shown, from + MORE_ROWS, turn);
  });
}

function append(shown, from, to) {
  const { rows, table } = shown;
  table.append(el("tbody", { role: "rowgroup" }, rows.slice(from, to).map((row, place) => drawRow(shown, row, rows[from + place - 1], rows[from + place + 1]))));
}

function drawRow(shown, row, above, below) {
  const { board, bits, pictures } = shown;
  const cell = (style, label, ...children) => el("td", { role: "cell", class: style, "data-label": label }, ...children);
  const own = likelihoodOf(row);
  return el("tr", { role: "row" }, rankCell(row, above, below), modelCell(row),
    pictures && cell("pictures", "", picture(row.picture, `${board.images === "test" ? "own samples" : board.of} of ${row.name}`, 3)),
    cell("mean number", "", row.mean === undefined ? "–" : [row.sign ? `${row.sign} ` : "", el("b", {}, number(row.mean)), el("small", {}, spread(row.half, row.mean))],
      (row.notes ?? []).map((note) => el("sup", { title: board.notes[note - 1] }, ` ${note}`))),
    el("td", { role: "cell", class: "bar-cell" }, bar(shown, row)),
    cell("seeds number small", "seeds", String(row.seeds)),
    bits && cell("bits number small", "bits/dim", own ? [`${own.sign} ${number(own.mean)}`, el("small", {}, ` ${own.space}`)] : "–"),
    cell("cost number small", "compute s", row.seconds === undefined ? "–" : whole(row.seconds)));
}

// Neighbours of which none is ahead of another are one group, held together by a line; a rank that
// the one above has, too, is not repeated. In another order than by mean there are no groups.
function rankCell(row, above, below) {
  const rank = row.rank ?? "–";
  const grouped = inOrder() && / to /.test(rank);
  const like = (other) => grouped && other?.group === row.group && / to /.test(other.rank ?? "");
  const style = [like(above) || like(below) ? "shared" : "", like(above) ? "" : "begins", like(below) ? "" : "ends", like(above) && above.rank === rank ? "again" : ""];
  return el("td", { role: "cell", class: `rank ${style.filter(Boolean).join(" ")}`, title: / to /.test(rank) ? "The seeds allow each of these ranks." : undefined }, el("span", { class: "text" }, rank.replace(" to ", "–")));
}

function modelCell(row) {
  const [name, notes] = row.name.split(/ (?=\()(.*)/s);
  const small = [notes, row.model === "completed" ? "completed" : ""].filter(Boolean).join(" ");
  return el("td", { role: "cell", class: "model" }, el("button", { type: "button", "aria-haspopup": "dialog", title: row.name.length > 60 ? row.name : undefined, click: () => openCard(row.card) },
    symbol(row.family), el("span", { class: "called", dir: "auto" }, name, small && el("small", {}, ` ${small}`))));
}

function bar({ board, at, marks }, row) {
  const lines = marks.map((value) => placed(el("i"), at(value)));
  const box = el("div", { class: `bar ${styleOf(row.family)}`, "aria-hidden": "true" }, lines);
  if (row.mean === undefined) return box;
  const clip = (value) => Math.max(0, Math.min(100, value));
  if (row.half) {
    const [from, to] = [clip(at(row.mean - row.half)), clip(at(row.mean + row.half))];
    const line = placed(el("i", { class: "spread" }), from);
    line.style.width = `${to - from}%`;
    box.append(line);
  }
  const bound = row.sign === "≤" || row.sign === "≥";
  box.append(placed(el("i", { class: `dot${bound ? " bound" : ""}${row.sign === "≥" ? " up" : ""}` }), at(row.mean)));
  return box;
}
function placed(element, percent) {
  element.style.left = `${percent}%`;
  return element;
}
