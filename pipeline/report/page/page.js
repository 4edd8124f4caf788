"use strict";

const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);

/* colours: as the system says, or light, or dark */

const THEMES = ["system", "light", "dark"];

function storedTheme() {
  try {
    return localStorage.getItem("theme") || "system";
  } catch {
    return "system"; // a page from a file may have no storage
  }
}

function showTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Colours: ${theme}`;
  byId("theme").dataset.theme = theme;
}

byId("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(byId("theme").dataset.theme) + 1) % THEMES.length];
  showTheme(next);
  try {
    localStorage.setItem("theme", next);
  } catch {
    // not kept, but shown
  }
});
const first = storedTheme();
showTheme(THEMES.includes(first) ? first : "system");

/* contents: folded where the window is narrow */

if (matchMedia("(max-width: 900px)").matches) byId("contents").open = false;

/* search: artifacts in which every word occurs */

const artifacts = all(".artifact").map((article) => ({
  article,
  text: article.textContent.toLowerCase(),
  entry: document.querySelector(`nav a[href="#${article.id}"]`).parentElement,
}));

function search() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { article, text, entry } of artifacts) {
    const found = words.every((word) => text.includes(word));
    article.hidden = entry.hidden = !found;
    count += found;
  }
  for (const group of all(".group")) group.hidden = !all(".artifact", group).some((article) => !article.hidden);
  if (words.length) byId("embedded").open = true;
  byId("found").textContent = words.length ? `${count} of ${artifacts.length} artifacts` : "";
}

byId("search").addEventListener("input", search);

/* links to what is filtered out or folded */

function reveal() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("[hidden]")) {
    byId("search").value = "";
    search();
  }
  for (let folded = target.closest("details"); folded; folded = folded.parentElement.closest("details")) folded.open = true;
  target.scrollIntoView();
}

addEventListener("hashchange", reveal);
reveal();

/* tables: ascending, descending, as written */

function sortKey(text) {
  const number = /^[-+]?\d+(\.\d+)?/.exec(text.replace("−", "-"));
  return number ? Number(number[0]) : text;
}

function compareCells(a, b, sign) {
  const missing = (value) => value === "-" || value === "";
  if (missing(a) || missing(b)) return missing(a) - missing(b); // last in both directions
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en");
}

for (const table of all("table.sortable")) {
  const body = table.tBodies[0];
  const written = [...body.rows];
  all("thead th", table).forEach((head, index) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const next = { ascending: "descending", descending: null }[before];
      const order = before === null ? "ascending" : next;
      for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
      if (order === null) {
        body.append(...written);
        return;
      }
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const text = (row) => row.cells[index].textContent.trim();
      const whole = written.every((row) => text(row) === "-" || text(row) === "" || typeof sortKey(text(row)) === "number");
      const key = (row) => (whole ? sortKey(text(row)) : text(row));
      body.append(...[...written].sort((a, b) => compareCells(key(a), key(b), sign)));
    });
  });
}

/* one figure, large: size in pixels instead of a transform, so that lines stay sharp and the view scrolls */

const large = byId("large");
const view = byId("large-view");
let figure = null;
let ratio = 1;
let width = 0;

function setWidth(next) {
  width = Math.min(Math.max(next, 100), 30000);
  figure.style.width = `${width}px`;
  figure.style.height = `${width * ratio}px`;
}

function fit() {
  setWidth(Math.min(view.clientWidth, view.clientHeight / ratio) - 2);
}

function zoom(factor, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const before = width;
  const [left, top] = [view.scrollLeft + x, view.scrollTop + y];
  setWidth(width * factor);
  view.scrollLeft = (left * width) / before - x;
  view.scrollTop = (top * width) / before - y;
}

for (const button of all(".enlarge")) {
  button.addEventListener("click", () => {
    const shown = button.firstElementChild;
    const box = shown.getBoundingClientRect();
    figure = shown.cloneNode(true); // references inside lead to the first one, which stays on the page
    ratio = box.height / box.width;
    view.replaceChildren(figure);
    byId("large-title").textContent = button.getAttribute("aria-label").replace("Enlarge: ", "");
    large.showModal();
    fit();
    view.focus();
  });
}

for (const button of all("[data-zoom]", large)) {
  button.addEventListener("click", () => (button.dataset.zoom === "fit" ? fit() : zoom(Number(button.dataset.zoom))));
}
large.querySelector("[data-close]").addEventListener("click", () => large.close());
large.addEventListener("close", () => view.replaceChildren());
large.addEventListener("click", (event) => {
  if (event.target === large) large.close();
});
large.addEventListener("keydown", (event) => {
  const factor = { "+": 1.25, "=": 1.25, "-": 0.8, "−": 0.8 }[event.key];
  if (factor) zoom(factor);
  else if (event.key === "0") fit();
  else return;
  event.preventDefault();
});
view.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const box = view.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 500), event.clientX - box.left, event.clientY - box.top);
  },
  { passive: false },
);

let drag = null;
view.addEventListener("pointerdown", (event) => {
  if (event.pointerType !== "mouse") return; // fingers scroll by themselves
  drag = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
  view.setPointerCapture(event.pointerId);
});
view.addEventListener("pointermove", (event) => {
  if (!drag) return;
  view.scrollLeft = drag.x - event.clientX;
  view.scrollTop = drag.y - event.clientY;
});
for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, () => (drag = null));

/* keys: / goes to the search */

addEventListener("keydown", (event) => {
  if (event.key !== "/" || large.open || event.target.matches("input")) return;
  event.preventDefault();
  byId("search").focus();
});
