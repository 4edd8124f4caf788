// The annotation page: one picture at a time, first its classes, then the size of each. The server keeps all state that
// matters; this script holds only the answer being given.

import { at, attempt, call, elapsed, query, say, short, showProgress, startWatch } from "./page.js";

const FINE = "5x4";
const COARSE = "3x3";
const AMOUNT_NAMES = { 0.25: "¼", 0.5: "½", 0.75: "¾", 1: "1" };
const MARKS = 8;

const state = {
  classes: [],
  grids: {},
  picture: null,
  next: null,
  step: "tags", // "tags", "done", or the index of the class whose size is asked
  phase: "loading", // "loading", "tags", "size", "feedback", "done"
  tagged: new Set(),
  mode: "cells",
  grid: FINE,
  preferred: { mode: "cells", grid: FINE }, // what was chosen last, for answers that are still open
  size: null, // share of the picture, or null
  marks: [], // cell amounts
};

// --- numbers ---

/** Read "2", "2.5", "2,5", "5/4", "2 1/4" or "2+1/4", with or without % at the end; NaN if it is something else. */
export function parseAmount(text) {
  const parts = text.trim().replaceAll(",", ".").replace(/\s*%$/, "").split(/[+\s]+/);
  let sum = 0;
  for (const part of parts) {
    const found = /^(\d+\.?\d*|\.\d+)(?:\/(\d+))?$/.exec(part);
    if (!found) return NaN;
    sum += Number(found[1]) / (found[2] === undefined ? 1 : Number(found[2]));
  }
  return Number.isFinite(sum) ? sum : NaN;
}

const percent = (share) => `${short(100 * share, 2)}\u00a0%`;

const cellCount = () => (state.grid === "none" ? 0 : state.grids[state.grid][0] * state.grids[state.grid][1]);

// --- moving on ---

function take(result) {
  state.next = result.next;
  state.picture = result.picture;
  showProgress(result.progress);
}

const taggedClasses = () => state.picture.classes.filter((entry) => entry.tagged);
const classIndex = (name) => state.classes.findIndex((entry) => entry.name === name);

async function visit(image, last = false) {
  if (image === null) {
    state.picture = null;
    show("done");
    return;
  }
  take(await call(query("/api/picture", { image })));
  await enter(last);
}

/** Show the current picture at its first open question, or at its last one. */
async function enter(last = false) {
  if (state.picture === null) {
    show("done");
    return;
  }
  await showPicture();
  const tagged = taggedClasses();
  const open = tagged.find((entry) => entry.size === null);
  if (tagged.length === 0) show("tags");
  else if (open) show("size", classIndex(open.name));
  else show("size", classIndex((last ? tagged.at(-1) : tagged[0]).name));
}

/** Go to the next open question of this picture, or to the next picture. */
async function advance() {
  const open = taggedClasses().find((entry) => entry.size === null);
  if (open) show("size", classIndex(open.name));
  else await visit(state.next);
}

const saveTags = () =>
  attempt(async () => {
    const present = state.classes.map((entry) => entry.name).filter((name) => state.tagged.has(name));
    take(await call("/api/tags", { image: state.picture.image, present, seconds: elapsed(), grid: state.grid }));
    await advance();
  });

const saveSize = () =>
  attempt(async () => {
    if (state.size === null || Number.isNaN(state.size)) throw new Error("Give a size first, such as 2.5 or 5/4.");
    if (state.size <= 0) throw new Error("A size of 0? Press t and untag the class instead.");
    if (state.size > left() + 1e-9) throw new Error(`Only ${percent(left())} of the picture is left.`);
    const name = state.classes[state.step].name;
    const result = await call("/api/size", {
      image: state.picture.image,
      class: name,
      size: Math.min(state.size, left()),
      seconds: elapsed(),
      grid: state.grid,
      method: state.mode,
      unsure: at("unsure").checked,
    });
    const given = state.size;
    take(result);
    if (result.exact === null) await advance();
    else showFeedback(name, given, result);
  });

const goOn = () => attempt(advance);

const skip = () =>
  attempt(async () => {
    if (state.picture === null) return;
    take(await call("/api/skip", { image: state.picture.image, seconds: elapsed() }));
    await visit(state.next);
    say("Put off; it comes again at the end.", true);
  });

const undo = () =>
  attempt(async () => {
    const result = await call("/api/undo", {});
    if (!result.undone) {
      say("Nothing to take back since the tool was started; Back leads to earlier answers.", true);
      return;
    }
    take(result);
    await enter(true);
    say("Taken back.", true);
  });

const back = () =>
  attempt(async () => {
    if (state.phase === "done") {
      const result = await call(query("/api/start"));
      await visit(result.last, true);
      return;
    }
    if (state.phase === "feedback") {
      show("size", state.step);
      return;
    }
    if (state.phase === "size") {
      const before = taggedClasses().filter((entry) => classIndex(entry.name) < state.step);
      const carry = elapsed();
      if (before.length) show("size", classIndex(before.at(-1).name), { carry });
      else show("tags", null, { carry });
      return;
    }
    if (state.picture.previous === null) say("This is the first picture.", true);
    else await visit(state.picture.previous, true);
  });

// --- showing ---

function show(phase, step = null, { carry = 0 } = {}) {
  state.phase = phase;
  state.step = step ?? phase;
  for (const part of ["tags", "size", "feedback", "done"]) at(part).hidden = part !== phase;
  at("frame").hidden = phase === "done";
  at("caption").hidden = phase === "done";
  at("skip").disabled = phase === "done";
  if (phase === "tags") showTags();
  if (phase === "size") showSize();
  if (phase === "done") {
    at("title").textContent = "All done";
    at("title").focus();
  }
  showCells();
  showSum();
  if (phase !== "feedback") startWatch(carry);
}

async function showPicture() {
  const image = at("picture");
  const address = `/picture?${new URLSearchParams({ id: state.picture.image })}`;
  at("caption").textContent = `${state.picture.position}: ${state.picture.image}`;
  if (image.getAttribute("src") !== address) {
    image.src = address;
    image.alt = `picture ${state.picture.image}`;
    await image.decode().catch(() => {
      throw new Error("This picture cannot be shown. Skip it with k.");
    }).finally(fit);
  }
  if (state.next !== null && state.next !== state.picture.image) {
    new Image().src = `/picture?${new URLSearchParams({ id: state.next })}`;
  }
}

/** Make the picture as large as the stage allows; small ones are enlarged, at most six times. */
function fit() {
  const image = at("picture");
  const stage = document.querySelector(".stage");
  if (!image.naturalWidth) return;
  const narrow = matchMedia("(max-width: 900px)").matches;
  const width = stage.clientWidth - 24;
  const height = narrow ? innerHeight * 0.5 : stage.clientHeight - 60;
  const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight, 6);
  image.style.width = `${Math.round(image.naturalWidth * scale)}px`;
  image.style.height = `${Math.round(image.naturalHeight * scale)}px`;
}

function showTags() {
  at("title").textContent = "Which of these are in the picture?";
  state.tagged = new Set(taggedClasses().map((entry) => entry.name));
  at("filter").value = "";
  drawTags();
  at("title").focus();
}

function drawTags() {
  const wanted = at("filter").value.trim().toLowerCase();
  const buttons = state.classes.map((entry, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `m${index % MARKS}`;
    button.textContent = `${entry.name} `;
    button.setAttribute("aria-pressed", String(state.tagged.has(entry.name)));
    button.hidden = wanted !== "" && !entry.name.toLowerCase().includes(wanted);
    if (entry.key) {
      const key = document.createElement("kbd");
      key.textContent = entry.key;
      button.append(key);
    }
    button.addEventListener("click", () => toggle(entry.name));
    return button;
  });
  at("tag-buttons").replaceChildren(...buttons);
  const label = state.tagged.size ? "Continue " : "None of these ";
  at("tags-done").firstChild.textContent = label;
}

function toggle(name) {
  if (state.tagged.has(name)) state.tagged.delete(name);
  else state.tagged.add(name);
  const focused = document.activeElement.closest?.("#tag-buttons button");
  drawTags();
  if (focused) at("tag-buttons").children[classIndex(name)].focus();
}

function showSize() {
  const entry = state.picture.classes[state.step];
  at("title").textContent = `How large is ${entry.name}?`;
  state.size = entry.size;
  // Looking at an old answer must not change how the next one is read: 5 cells are not 5 percent.
  state.mode = entry.method ?? state.preferred.mode;
  state.grid = entry.grid ?? state.preferred.grid;
  if (state.mode === "cells" && state.grid === "none") state.mode = "percent";
  state.marks = [];
  at("unsure").checked = entry.unsure;
  drawSize();
}

/** Bring all controls in line with mode, grid and size, except the text field while something is typed into it. */
function drawSize({ keepText = false } = {}) {
  for (const [name, value] of [["mode", state.mode], ["grid", state.grid]]) {
    document.querySelector(`input[name="${name}"][value="${value}"]`).checked = true;
  }
  const slides = state.mode === "slider";
  at("typed").hidden = slides;
  at("slid").hidden = !slides;
  at("amounts").hidden = state.grid === "none";
  at("amount-label").textContent = state.mode === "cells" ? "Number of cells" : "Percent of the picture";
  const known = state.size !== null && !Number.isNaN(state.size);
  if (!keepText) {
    const value = known ? (state.mode === "cells" ? state.size * cellCount() : 100 * state.size) : null;
    at("amount").value = value === null ? "" : short(value, state.mode === "cells" ? 3 : 2);
  }
  at("slider").max = String(Math.floor(200 * left()) / 2);
  at("slider").value = String(known ? 100 * state.size : 0);
  at("slider").setAttribute("aria-valuetext", known ? percent(state.size) : "not given");
  showReading(known);
  showCells();
  showSum();
  const focused = document.activeElement;
  if (!focused.matches("#size input") || focused.offsetParent === null) focusField();
}

/** Be ready for typing; not on touch screens, where a keyboard would cover the picture. */
function focusField() {
  if (matchMedia("(pointer: coarse)").matches) return;
  const field = state.mode === "slider" ? at("slider") : at("amount");
  field.focus();
  if (field === at("amount")) field.select();
}

function showReading(known) {
  if (!known) at("reading").textContent = Number.isNaN(state.size) ? "cannot be read as a number" : "";
  else if (state.mode === "cells") at("reading").textContent = `${short(state.size * cellCount(), 3)} of ${cellCount()} cells = ${percent(state.size)}`;
  else at("reading").textContent = `${percent(state.size)} of the picture`;
}

function showCells() {
  const box = at("cells");
  const asks = state.phase === "size" || state.phase === "feedback";
  box.hidden = !asks || state.grid === "none";
  if (box.hidden) return;
  const [columns] = state.grids[state.grid];
  box.className = `cells g${state.grid} m${state.step % MARKS}`;
  if (box.children.length !== cellCount()) {
    box.replaceChildren(...Array.from({ length: cellCount() }, (_, index) => newCell(index)));
  }
  [...box.children].forEach((cell, index) => {
    const amount = state.marks[index] ?? 0;
    if (amount) cell.dataset.amount = String(amount);
    else delete cell.dataset.amount;
    cell.style.setProperty("--amount", String(amount));
    cell.firstChild.textContent = AMOUNT_NAMES[amount] ?? "";
    cell.setAttribute("aria-label", `row ${Math.floor(index / columns) + 1}, column ${(index % columns) + 1}: ${amount} counted`);
  });
}

function newCell(index) {
  const cell = document.createElement("button");
  cell.type = "button";
  cell.className = "cell";
  cell.tabIndex = -1;
  cell.append(document.createElement("span"));
  cell.addEventListener("mousedown", (event) => event.preventDefault()); // the text field keeps the focus
  cell.addEventListener("click", () => count(index));
  return cell;
}

/** Add the chosen amount to a cell; a full cell is emptied. Counting starts anew after a size was typed. */
function count(index) {
  if (state.phase !== "size") return;
  const amount = Number(document.querySelector('input[name="amount"]:checked').value);
  const old = state.marks[index] ?? 0;
  state.marks[index] = old >= 1 ? 0 : Math.min(1, old + amount);
  state.mode = "cells";
  state.size = state.marks.reduce((sum, value) => sum + (value ?? 0), 0) / cellCount();
  drawSize();
}

/** What the other classes leave of the picture. */
function left() {
  const current = state.phase === "size" || state.phase === "feedback" ? state.step : -1;
  return 1 - state.picture.classes.reduce((sum, entry, index) => sum + (index === current ? 0 : entry.size ?? 0), 0);
}

function showSum() {
  if (state.picture === null) {
    at("stack").replaceChildren();
    at("sum").textContent = "";
    return;
  }
  const parts = state.picture.classes
    .map((entry, index) => ({ name: entry.name, index, size: entry.size ?? 0 }))
    .map((part) => (part.index === state.step ? { ...part, size: state.size || 0 } : part))
    .filter((part) => part.size > 0);
  const total = parts.reduce((sum, part) => sum + part.size, 0);
  at("stack").replaceChildren(
    ...parts.map((part) => {
      const piece = document.createElement("span");
      piece.className = `m${part.index % MARKS}`;
      piece.style.width = `${(100 * part.size) / Math.max(1, total)}%`;
      return piece;
    }),
  );
  const words = parts.flatMap((part) => {
    const swatch = document.createElement("span");
    swatch.className = `swatch m${part.index % MARKS}`;
    return [swatch, `${part.name} ${percent(part.size)} + `];
  });
  const over = total > 1 + 1e-9;
  const sum = over ? ` = ${percent(total)}, more than the picture` : parts.length ? " = 100\u00a0%" : "";
  at("sum").replaceChildren(...words, `background ${percent(Math.max(0, 1 - total))}${sum}`);
}

function showFeedback(name, given, result) {
  show("feedback", state.step);
  const exact = `${name} covers ${percent(result.exact)}; you said ${percent(given)}`;
  const sign = result.error < 0 ? "−" : "+";
  const error = result.error === null ? "It is not in the picture." : `Relative error ${sign}${short(100 * Math.abs(result.error), 1)} %.`;
  at("title").textContent = "Compared with the mask";
  at("verdict").textContent = `${exact}. ${error}`;
  at("continue").focus();
}

// --- input ---

function setMode(mode) {
  if (mode === "cells" && state.grid === "none") state.grid = state.preferred.grid = FINE;
  state.mode = state.preferred.mode = mode;
  drawSize();
  focusField();
}

/** Show another grid. Without one there are no cells to count; when it comes back, so does counting. */
function setGrid(grid) {
  if (grid === "none" && state.mode === "cells") state.mode = "percent";
  else if (state.grid === "none" && grid !== "none") state.mode = state.preferred.mode;
  state.grid = state.preferred.grid = grid;
  state.marks = [];
  drawSize();
}

function typed() {
  const text = at("amount").value;
  if (text.trim().endsWith("%")) state.mode = "percent";
  const amount = text.trim() === "" ? null : parseAmount(text);
  state.size = amount === null ? null : amount / (state.mode === "cells" ? cellCount() : 100);
  state.marks = [];
  drawSize({ keepText: true });
}

function nudge(direction, large) {
  const step = state.mode === "cells" ? (large ? 1 : 0.25) / cellCount() : (large ? 5 : 1) / 100;
  state.size = Math.min(left(), Math.max(0, (state.size || 0) + direction * step));
  state.marks = [];
  drawSize();
}

const press = (id) => () => at(id).click();
const pick = (name, value) => () => {
  document.querySelector(`input[name="${name}"][value="${value}"]`).checked = true;
};

const COMMANDS = { z: undo, b: back, k: skip, h: press("help-button"), "?": press("help-button") };
const SIZE_COMMANDS = {
  c: () => setMode("cells"),
  p: () => setMode("percent"),
  s: () => setMode("slider"),
  g: () => setGrid(state.grid === FINE ? COARSE : FINE),
  o: () => setGrid(state.grid === "none" ? FINE : "none"),
  w: pick("amount", "1"),
  e: pick("amount", "0.5"),
  r: pick("amount", "0.25"),
  u: press("unsure"),
  t: () => show("tags", null, { carry: elapsed() }),
  arrowup: (event) => nudge(1, event.shiftKey),
  arrowdown: (event) => nudge(-1, event.shiftKey),
  enter: saveSize,
};

function commandFor(event) {
  const key = event.key.toLowerCase();
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey) return key === "z" && !event.altKey ? undo : null;
  if (target === at("filter")) return key === "enter" ? filterEnter : key === "escape" ? leaveFilter : null;
  if (target.matches("button, a") && (key === "enter" || key === " ") && !target.matches(".cell")) return null;
  if (COMMANDS[key]) return COMMANDS[key];
  if (state.phase === "tags") {
    if (key === "enter") return saveTags;
    if (key === "m" && !at("filter-label").hidden) return () => at("filter").focus();
    const entry = state.classes.find((one) => one.key === key);
    return entry ? () => toggle(entry.name) : null;
  }
  if (state.phase === "feedback") return key === "enter" ? goOn : null;
  if (state.phase !== "size") return null;
  if (state.mode === "slider" && target === at("slider") && key.startsWith("arrow")) return null;
  if (target.matches('input[type="radio"]') && key.startsWith("arrow")) return null;
  if (SIZE_COMMANDS[key]) return SIZE_COMMANDS[key];
  if (/^[0-9.,/%]$/.test(key) && target !== at("amount") && state.mode !== "slider") {
    at("amount").focus();
    at("amount").select();
  }
  return null;
}

function filterEnter() {
  const first = [...at("tag-buttons").children].find((button) => !button.hidden);
  const wanted = at("filter").value.trim();
  if (wanted === "") return leaveFilter();
  if (first) first.click();
  at("filter").value = "";
  drawTags();
  return undefined;
}

function leaveFilter() {
  at("filter").value = "";
  drawTags();
  at("title").focus();
}

document.addEventListener("keydown", (event) => {
  if (at("help").open) return;
  const command = commandFor(event);
  if (!command) return;
  event.preventDefault();
  if (event.repeat && event.key === "Enter") return;
  command(event);
});

at("amount").addEventListener("input", typed);
at("slider").addEventListener("input", () => {
  state.size = Number(at("slider").value) / 100;
  state.marks = [];
  drawSize();
});
at("size").addEventListener("submit", (event) => {
  event.preventDefault();
  saveSize();
});
for (const radio of document.querySelectorAll('input[name="mode"]')) radio.addEventListener("change", () => setMode(radio.value));
for (const radio of document.querySelectorAll('input[name="grid"]')) radio.addEventListener("change", () => setGrid(radio.value));
at("filter").addEventListener("input", drawTags);
at("tags-done").addEventListener("click", saveTags);
at("continue").addEventListener("click", goOn);
at("back").addEventListener("click", back);
at("undo").addEventListener("click", undo);
at("skip").addEventListener("click", skip);
at("help-button").addEventListener("click", () => at("help").showModal());
addEventListener("resize", fit);

attempt(async () => {
  const result = await call(query("/api/start"));
  state.classes = result.classes;
  state.grids = result.grids;
  at("filter-label").hidden = result.classes.every((entry) => entry.key !== null);
  take(result);
  await enter();
});
