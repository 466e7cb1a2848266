"use strict";
// What all parts of the page share: its content, elements, numbers, and the address.
const content = { boards: [], cards: {}, facts: [], pictures: {}, ...JSON.parse(document.getElementById("content").textContent) };
const part = (name) => document.getElementById(name);
const FAMILIES = ["variational", "regularised", "autoencoding flow", "Wasserstein", "other"];

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes))
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
  return element;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function decimals(size) {
  return size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
}
function number(value, like = value) {
  const size = Math.abs(like);
  return size !== 0 && size < 0.01 ? value.toExponential(2) : value.toFixed(decimals(size));
}
function spread(half, mean) {
  if (half === undefined || half === null) return "";
  const text = number(half, mean);
  return ` ± ${half && Number(text) === 0 ? half.toPrecision(1) : text}`;
}
const whole = (value) => Math.round(value).toLocaleString("en");
// Not what went wrong, such as "1 failed", which stands in the place of a rank.
const isRank = (text) => /^\d+( to \d+)?$/.test(text);

// Marks of the families, of about one area, around (0, 0).
const SHAPES = {
  "variational": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
  "regularised": "M-4.5 -4.5h9v9h-9z",
  "autoencoding flow": "M0 -6.2L6.2 0L0 6.2L-6.2 0z",
  "Wasserstein": "M0 -5.8L5.6 4.4H-5.6z",
  "other": "M-5.4 -1.8h3.6v-3.6h3.6v3.6h3.6v3.6h-3.6v3.6h-3.6v-3.6h-3.6z",
};
const styleOf = (family) => family.replace(" ", "-");
function symbol(family) {
  return draw("svg", { class: `symbol ${styleOf(family)}`, viewBox: "-6.5 -6.5 13 13", "aria-hidden": "true" },
    draw("path", { d: SHAPES[family], class: "mark" }));
}

function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(Number((at * step).toPrecision(10)));
  return found;
}

// A strip of images at whole multiples of its own pixels, or a list of texts.
function picture(key, label, most = 8) {
  const shown = content.pictures[key];
  if (!shown) return null;
  if (shown.texts)
    return el("ul", { class: "texts", "aria-label": label }, shown.texts.slice(0, most).map((text) => el("li", { dir: "auto", title: text }, text || "(empty)")));
  const image = el("img", { class: "strip", src: shown.source, alt: label, loading: "lazy", decoding: "async" });
  image.style.setProperty("--w", shown.width);
  image.style.setProperty("--h", shown.height);
  return image;
}

// What is shown stands in the address, so that it can be linked to.
const state = { board: "", sort: "mean", down: "", find: "", card: "" };
const usual = { sort: "mean", down: "", find: "", card: "" };
function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(state)) state[name] = given.get(name) ?? usual[name] ?? content.first ?? "";
}
function writeAddress(opens) {
  const kept = Object.entries(state).filter(([name, value]) => value !== (usual[name] ?? content.first));
  const hash = "#" + new URLSearchParams(kept);
  if (hash === (location.hash || "#")) return;
  history[opens ? "pushState" : "replaceState"](null, "", hash);
}
