"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const dialog = document.getElementById("picture");
dialog.addEventListener("click", () => dialog.close());

function show(source, name) {
  const large = dialog.querySelector("img");
  large.src = source;
  large.alt = name;
  dialog.showModal();
}

function picture(cell) {
  const source = content.pictures[cell.getValue()];
  if (!source) return "";
  const name = cell.getRow().getData().objective;
  const button = document.createElement("button");
  const image = document.createElement("img");
  image.src = source;
  image.alt = "Pictures of " + name;
  button.className = "thumb";
  button.append(image);
  button.addEventListener("click", () => show(source, name));
  return button;
}

function bounded(cell) {
  const value = cell.getValue();
  return value === null ? "" : [cell.getRow().getData().sign, value].join(" ").trim();
}

const text = (title, field) => ({ title, field, headerFilter: "input" });
const choice = (title, field) => ({
  title, field, headerFilter: "list",
  headerFilterParams: { valuesLookup: true, clearable: true },
});
const number = (title, field) => ({ title, field, sorter: "number", hozAlign: "right" });

window.leaderboard = new Tabulator("#board", {
  data: content.entries,
  layout: "fitDataTable",
  initialSort: [{ column: "rank_low", dir: "asc" }, { column: "board", dir: "asc" }],
  groupBy: "board",
  columns: [
    { title: "rank", field: "rank",
      sorter: (a, b, first, second) => first.getData().rank_low - second.getData().rank_low },
    text("objective", "objective"),
    { title: "pictures", field: "picture", formatter: picture, headerSort: false },
    { ...number("mean", "mean"), formatter: bounded },
    number("± 95 %", "half_width"), number("seeds", "seeds"),
    choice("data set", "dataset"), choice("d", "latent_dim"), choice("score", "score"), choice("of", "place"),
    choice("kind", "kind"), choice("model", "model"),
    number("parameters", "parameters_backbone"), number("outside", "parameters_outside"),
    number("compute s", "compute_seconds"), choice("suite", "suite"), text("protocol", "protocol"),
    text("warnings", "warnings"),
    { title: "rank_low", field: "rank_low", visible: false },
    { title: "board", field: "board", visible: false },
  ],
});
