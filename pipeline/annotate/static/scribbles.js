// The page on which scribbles are drawn. Strokes live in pixels of the picture. Two canvases at the screen's resolution show
// them: one those that stand, painted anew when something changes, the other the stroke being drawn, which only grows. The
// picture itself is moved and scaled by CSS alone, so the cost of a stroke does not depend on how large it is.

import { at, attempt, call, elapsed, query, say, settled, showProgress, startWatch } from "./page.js";

const MOST_POINTS = 2000; // of one stroke, as the server allows
const MOST_ERASED = 1000;
const INKS = 7; // colours of classes, after which they repeat
const CASING_PX = 1.5; // dark rim of strokes, on screen
const RIM = "rgb(0 0 0 / 0.7)";
const SPACING_PX = 0.75; // pointer events nearer than this, on screen, add nothing
const TOLERANCE_PX = 0.35; // how far a thinned out stroke may be off, on screen
const WIDTHS = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80];
const RETRY_MS = 2000;
const REST_MS = 120; // so long without a move, the view stands still
const STEP_PX = 8; // of the brush by arrow keys, on screen

const view = at("view");
const ink = at("ink").getContext("2d");
const live = at("live").getContext("2d");

const state = {
  classes: [],
  picture: null, // as the server describes it
  strokes: [], // in the order in which they were drawn: { id, class, width, points, size, path, hidden }
  rows: 0, // lines of the file about this picture, to notice another page of the same person
  next: null,
  current: 1, // index of the class that is drawn
  erasing: false,
  width: 12, // of the brush, on screen
  scale: 1, // screen pixels per pixel of the picture
  x: 0, // where its corner is on the screen
  y: 0,
  active: null, // the stroke or erasure that is being made
  cursor: null, // the brush as arrow keys move it, in pixels of the picture
  prediction: 0, // version of the network whose prediction is shown
};

// --- geometry ---

const toPicture = (x, y) => [(x - state.x) / state.scale, (y - state.y) / state.scale];
const within = (value, side) => Math.min(Math.max(value, 0), side - 0.01);
const clamp = ([x, y]) => [within(x, state.picture.size[0]), within(y, state.picture.size[1])];
const isInside = ([x, y]) => x >= 0 && y >= 0 && x < state.picture.size[0] && y < state.picture.size[1];

/** Squared distance of a point from a segment. */
function distance2([x, y], [ax, ay], [bx, by]) {
  const dx = bx - ax;
  const dy = by - ay;
  const length2 = dx * dx + dy * dy;
  const along = length2 ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length2)) : 0;
  return (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2;
}

/** Leave out vertices that are within `tolerance` of the line without them (Douglas and Peucker). */
export function thinOut(points, tolerance) {
  const kept = new Set([0, points.length - 1]);
  const parts = [[0, points.length - 1]];
  while (parts.length) {
    const [first, last] = parts.pop();
    let farthest = tolerance ** 2;
    let split = null;
    for (let index = first + 1; index < last; index += 1) {
      const far = distance2(points[index], points[first], points[last]);
      if (far > farthest) [farthest, split] = [far, index];
    }
    if (split !== null) {
      kept.add(split);
      parts.push([first, split], [split, last]);
    }
  }
  return points.filter((_, index) => kept.has(index));
}

/** Whether a disc of `radius` that moves from one point to another touches a stroke. */
export function touches(stroke, from, to, radius) {
  const reach2 = (radius + stroke.width / 2) ** 2;
  const { points } = stroke;
  if (points.length === 1) return distance2(points[0], from, to) <= reach2;
  return points.some((point, index) => {
    if (distance2(point, from, to) <= reach2) return true;
    const before = points[index - 1];
    return index > 0 && (distance2(from, before, point) <= reach2 || distance2(to, before, point) <= reach2 || cross(before, point, from, to));
  });
}

function cross(a, b, c, d) {
  const side = ([px, py], [qx, qy], [rx, ry]) => Math.sign((qx - px) * (ry - py) - (qy - py) * (rx - px));
  return side(a, b, c) !== side(a, b, d) && side(c, d, a) !== side(c, d, b);
}

// --- painting, once per frame ---

const stale = { ink: false, live: false, view: false, ring: false };
let framed = false;
let painted = { scale: 1, x: 0, y: 0 }; // view in which the strokes that stand were painted
let rest = 0;
const added = []; // strokes that only have to be painted on top of what is there

function repaint(...what) {
  for (const part of what) stale[part] = true;
  if (!framed) requestAnimationFrame(paint);
  framed = true;
}

function paint() {
  framed = false;
  if (stale.view) at("world").style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.scale})`;
  if (stale.ink && view.classList.contains("moving")) carryInk();
  else if (stale.ink) paintInk();
  else while (added.length) paintStroke(added.shift());
  if (stale.live) paintLive();
  if (stale.ring) paintRing();
  stale.ink = stale.live = stale.view = stale.ring = false;
}

function clear(context) {
  const ratio = devicePixelRatio;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  context.setTransform(ratio * state.scale, 0, 0, ratio * state.scale, ratio * state.x, ratio * state.y);
  context.lineCap = context.lineJoin = "round";
}

/** While the view moves, move what is painted along; it is painted anew when the view stands still. */
function carryInk() {
  const { scale, x, y } = painted;
  const ratio = state.scale / scale;
  at("ink").style.transform = `translate(${state.x - ratio * x}px, ${state.y - ratio * y}px) scale(${ratio})`;
}

function paintInk() {
  clear(ink);
  painted = { scale: state.scale, x: state.x, y: state.y };
  at("ink").style.transform = "";
  added.length = 0;
  if (!state.picture?.size) return;
  for (const stroke of state.strokes) if (!stroke.hidden) paintStroke(stroke);
}

function paintStroke(stroke) {
  stroke.path ??= pathOf(stroke.points, 0);
  line(ink, stroke.path, stroke.width + (2 * CASING_PX) / state.scale, RIM);
  line(ink, stroke.path, stroke.width, colorOf(stroke.class));
}

/** Paint what was added to the stroke since the last frame. Its rim goes underneath what is there already. */
function paintLive() {
  const { active } = state;
  if (!active || active.erase || active.painted === 0) clear(live);
  if (!active || active.erase || active.points.length === active.painted) return;
  if (queue.length) return; // a stroke begins when the one before is on disk
  const path = pathOf(active.points, Math.max(0, active.painted - 1));
  line(live, path, active.width, colorOf(active.class));
  live.globalCompositeOperation = "destination-over";
  line(live, path, active.width + (2 * CASING_PX) / state.scale, RIM);
  live.globalCompositeOperation = "source-over";
  active.painted = active.points.length;
}

function pathOf(points, first) {
  const path = new Path2D();
  path.moveTo(...points[first]);
  for (let index = first + 1; index < points.length; index += 1) path.lineTo(...points[index]);
  if (points.length - first === 1) path.lineTo(points[first][0] + 0.001, points[first][1]); // a dab, with round ends
  return path;
}

function line(context, path, width, color) {
  context.lineWidth = width;
  context.strokeStyle = color;
  context.stroke(path);
}

function paintRing() {
  const ring = at("ring");
  const place = state.cursor ? [state.cursor[0] * state.scale + state.x, state.cursor[1] * state.scale + state.y] : state.hover;
  ring.hidden = !place || !state.picture?.size;
  if (ring.hidden) return;
  ring.style.transform = `translate(${place[0] - state.width / 2}px, ${place[1] - state.width / 2}px)`;
  ring.style.width = ring.style.height = `${state.width}px`;
}

const colors = new Map();
const inkClass = (index) => `s${index === 0 ? 0 : 1 + ((index - 1) % INKS)}`;
const colorOf = (name) => colors.get(name) ?? "#ffffff";

// --- view ---

/** Show the whole picture, at once. */
function fit() {
  if (!state.picture?.size) return;
  const [width, height] = state.picture.size;
  state.scale = fitScale();
  state.x = (view.clientWidth - width * state.scale) / 2;
  state.y = (view.clientHeight - height * state.scale) / 2;
  moved();
  view.classList.remove("moving");
}

const fitScale = () => Math.min((view.clientWidth - 16) / state.picture.size[0], (view.clientHeight - 16) / state.picture.size[1]);

/** Zoom so that what is at (x, y) on the screen stays there. */
function zoom(factor, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  if (!state.picture?.size) return;
  const fitted = fitScale();
  const scale = Math.min(Math.max(state.scale * factor, fitted / 2), Math.max(40, 8 * fitted));
  const [px, py] = toPicture(x, y);
  state.scale = scale;
  state.x = x - px * scale;
  state.y = y - py * scale;
  moved();
}

function pan(dx, dy) {
  state.x += dx;
  state.y += dy;
  moved();
}

/** Keep a part of the picture in sight, and paint everything at its new place. */
function moved() {
  const [width, height] = state.picture.size.map((side) => side * state.scale);
  const edge = 40;
  state.x = Math.min(Math.max(state.x, edge - width), view.clientWidth - edge);
  state.y = Math.min(Math.max(state.y, edge - height), view.clientHeight - edge);
  if (state.active) state.active.painted = 0;
  view.classList.add("moving");
  clearTimeout(rest);
  rest = setTimeout(() => {
    view.classList.remove("moving");
    wantDetail();
    repaint("ink");
  }, REST_MS);
  at("zoom").textContent = `${Math.round(100 * state.scale)} %`;
  repaint("view", "ink", "live", "ring");
}

function resize() {
  for (const canvas of [at("ink"), at("live")]) {
    canvas.width = Math.round(view.clientWidth * devicePixelRatio);
    canvas.height = Math.round(view.clientHeight * devicePixelRatio);
  }
  fit();
}

/** Load the picture at its full resolution once the screen shows more than the small one holds. */
async function wantDetail() {
  const image = at("picture");
  const { image: name, size } = state.picture;
  const shown = image.naturalWidth;
  if (!shown || image.dataset.detail === name || shown >= size[0] || state.scale * devicePixelRatio <= (1.1 * shown) / size[0]) return;
  image.dataset.detail = name;
  const detail = new Image();
  detail.src = `/detail?${new URLSearchParams({ id: name })}`;
  await detail.decode().catch(() => undefined); // the small one stays
  if (detail.naturalWidth && state.picture.image === name) image.src = detail.src;
}

// --- the queue to the server: one request at a time, in order, none forgotten ---

const queue = [];
let sending = false;
let retry = 0;

function send(action, body) {
  queue.push({ action, body: { image: state.picture.image, seconds: elapsed(), ...body } });
  startWatch(0);
  pump();
}

async function pump() {
  clearTimeout(retry);
  if (sending) return;
  sending = true;
  while (queue.length) {
    const { action, body } = queue[0];
    let result;
    try {
      result = await call(`/api/scribbles/${action}`, body);
    } catch (problem) {
      const refused = problem.status >= 400 && problem.status < 500;
      if (refused) {
        queue.length = 0;
        sending = false;
        await attempt(() => visit(body.image)); // what stands is what the server says
        say(problem.message);
        return;
      }
      drop();
      say(problem.status ? problem.message : "Not saved: the server does not answer. Start it again; the stroke is kept here until then.");
      retry = setTimeout(pump, RETRY_MS);
      at("tool").dataset.stuck = "";
      break;
    }
    if (at("tool").dataset.stuck !== undefined) say("Saved.", true);
    delete at("tool").dataset.stuck;
    queue.shift();
    await take(body.image, result);
  }
  sending = false;
  repaint("live"); // a stroke that has waited may appear
  settled();
}

/** Bring the page in line with what the server says, once it has heard everything. */
async function take(image, result) {
  showProgress(result.progress);
  state.next = result.next;
  showLive(result.live);
  if (image !== state.picture.image || queue.length) return;
  showPrediction(result.prediction);
  const { changed } = result;
  const expected = (state.rows += 1);
  if (changed.rows !== expected) {
    await load(state.picture.image).catch((problem) => say(problem.message));
    return;
  }
  showState(changed);
}

function showState({ rows, hidden, undo, redo }) {
  const gone = new Set(hidden);
  for (const stroke of state.strokes) {
    if (stroke.hidden !== gone.has(stroke.id)) repaint("ink");
    stroke.hidden = gone.has(stroke.id);
  }
  state.rows = rows;
  at("undo").disabled = !undo;
  at("redo").disabled = !redo;
  showCount();
}

function showCount() {
  const count = state.strokes.filter((stroke) => !stroke.hidden).length;
  at("count").textContent = `${count === 1 ? "1 stroke" : `${count} strokes`} on this picture`;
}

const isStuck = () => at("tool").dataset.stuck !== undefined;

/** Wait until everything is on disk. */
async function saved() {
  if (isStuck()) await pump();
  while (sending) await new Promise((resolve) => setTimeout(resolve, 5));
  if (queue.length) throw new Error("Not saved: the server does not answer. Start it again; the stroke is kept here until then.");
}

addEventListener("beforeunload", (event) => {
  if (queue.length) event.preventDefault();
});

// --- drawing ---

/** Put the brush or the eraser down. */
function begin(point, pointer) {
  if (!state.picture?.size || state.active || !isInside(point)) return;
  if (isStuck()) {
    pump();
    return;
  }
  say("");
  const width = Math.min(Math.max(1, state.width / state.scale), Math.max(...state.picture.size));
  const name = state.classes[state.current].name;
  state.active = { pointer, erase: state.erasing, class: name, width, points: [point], painted: 0, gone: [] };
  if (state.erasing) eraseAlong(point, point);
  repaint("live");
}

function extend(point) {
  const { active } = state;
  const last = active.points.at(-1);
  const next = clamp(point);
  if (Math.hypot(next[0] - last[0], next[1] - last[1]) * state.scale < SPACING_PX) return;
  if (active.erase) eraseAlong(last, next);
  active.points.push(next);
  repaint("live");
}

function eraseAlong(from, to) {
  for (const stroke of state.strokes) {
    if (stroke.hidden || state.active.gone.length >= MOST_ERASED || !touches(stroke, from, to, state.active.width / 2)) continue;
    stroke.hidden = true;
    state.active.gone.push(stroke.id);
    repaint("ink");
  }
}

/** Lift the brush: the stroke goes to the server. */
function finish() {
  const { active } = state;
  if (!active) return;
  state.active = null;
  repaint("live");
  if (active.erase) {
    if (active.gone.length) send("erase", { strokes: active.gone });
    return;
  }
  let points = active.points;
  for (let tolerance = TOLERANCE_PX; tolerance === TOLERANCE_PX || points.length > MOST_POINTS; tolerance *= 2) {
    points = thinOut(active.points, tolerance / state.scale);
  }
  const stroke = {
    id: newId(),
    class: active.class,
    width: rounded(active.width),
    points: points.map((point) => point.map(rounded)),
    size: state.picture.size,
  };
  state.strokes.push({ ...stroke, hidden: false });
  added.push(state.strokes.at(-1));
  showCount();
  repaint("live");
  send("draw", { stroke });
}

/** Forget the stroke that is being drawn. */
function drop() {
  if (state.active?.erase) for (const stroke of state.strokes) if (state.active.gone.includes(stroke.id)) stroke.hidden = false;
  state.active = null;
  repaint("ink", "live");
}

const rounded = (value) => Math.floor(100 * value + 0.5) / 100;
const newId = () => [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

const change = (action) => () => {
  finish();
  if (!at(action).disabled || queue.length) send("act", { do: action });
};

// --- pointers: one draws, two zoom and move ---

const touching = new Map();
let dragging = null;
let penSeen = false;

const place = (event) => {
  const box = view.getBoundingClientRect();
  return [event.clientX - box.left - view.clientLeft, event.clientY - box.top - view.clientTop];
};

view.addEventListener("pointerdown", (event) => {
  view.focus({ preventScroll: true });
  event.preventDefault();
  state.cursor = null;
  const here = place(event);
  penSeen ||= event.pointerType === "pen";
  if (event.pointerType === "touch") {
    touching.set(event.pointerId, here);
    if (touching.size > 1) drop(); // the second finger says that the first did not mean to draw
  }
  view.setPointerCapture(event.pointerId);
  if (touching.size > 1) return;
  // Beside a pen, a hand only moves the picture.
  const moves = event.button !== 0 || event.shiftKey || (penSeen && event.pointerType === "touch");
  if (moves) dragging = { pointer: event.pointerId, at: here };
  else begin(toPicture(...here), event.pointerId);
});

view.addEventListener("pointermove", (event) => {
  const here = place(event);
  if (event.pointerType !== "touch") {
    state.hover = here;
    state.cursor = state.active?.pointer === "keys" ? state.cursor : null;
    repaint("ring");
  }
  if (touching.has(event.pointerId) && touching.size > 1) pinch(event.pointerId, here);
  else if (dragging?.pointer === event.pointerId) {
    pan(here[0] - dragging.at[0], here[1] - dragging.at[1]);
    dragging.at = here;
  } else if (state.active?.pointer === event.pointerId) {
    const between = event.getCoalescedEvents?.() ?? [];
    for (const one of between.length ? between : [event]) extend(toPicture(...place(one)));
  }
});

function pinch(pointer, here) {
  const [[firstId, first], [secondId, second]] = touching;
  if (pointer !== firstId && pointer !== secondId) return;
  const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const apart = (a, b) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
  const [before, spread] = [middle(first, second), apart(first, second)];
  touching.set(pointer, here);
  const [one, two] = [touching.get(firstId), touching.get(secondId)];
  const after = middle(one, two);
  if (!state.picture?.size) return;
  pan(after[0] - before[0], after[1] - before[1]);
  zoom(apart(one, two) / spread, ...after);
}

function release(event) {
  touching.delete(event.pointerId);
  if (dragging?.pointer === event.pointerId) dragging = null;
  if (state.active?.pointer === event.pointerId) finish();
}

view.addEventListener("pointerup", release);
view.addEventListener("pointercancel", release);
view.addEventListener("pointerleave", (event) => {
  if (event.pointerType === "touch") return;
  state.hover = null;
  repaint("ring");
});
view.addEventListener("contextmenu", (event) => event.preventDefault());
view.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0015)), ...place(event));
  },
  { passive: false },
);

// --- the brush by arrow keys ---

const moveBrush = (dx, dy) => (event) => {
  if (!state.picture?.size) return;
  const step = (event.shiftKey ? 5 : 1) * (STEP_PX / state.scale);
  const from = state.cursor ?? clamp(toPicture(view.clientWidth / 2, view.clientHeight / 2));
  state.cursor = clamp([from[0] + dx * step, from[1] + dy * step]);
  if (state.active?.pointer === "keys") extend(state.cursor);
  const [x, y] = [state.cursor[0] * state.scale + state.x, state.cursor[1] * state.scale + state.y];
  const off = (value, side) => Math.min(0, value - 24) + Math.max(0, value - side + 24);
  const [dragX, dragY] = [off(x, view.clientWidth), off(y, view.clientHeight)];
  const outside = state.cursor[0] > 0 && state.cursor[1] > 0 && (dragX || dragY);
  if (outside) pan(-dragX, -dragY);
  repaint("ring");
};

function putDownOrLift() {
  if (state.active?.pointer === "keys") finish();
  else if (!state.active && state.picture?.size) {
    state.cursor ??= clamp(toPicture(view.clientWidth / 2, view.clientHeight / 2));
    begin(state.cursor, "keys");
    repaint("ring");
  }
}

// --- moving on ---

/** Show a picture. */
async function visit(image) {
  await load(image);
  startWatch(0);
  fit();
}

async function load(image) {
  show(await call(query("/api/scribbles/picture", { image })));
  await showPicture();
}

function show(result) {
  state.picture = result.picture;
  state.next = result.next;
  state.strokes = result.picture.strokes.map((stroke) => ({ ...stroke, hidden: false }));
  repaint("ink");
  showProgress(result.progress);
  showState(result.picture);
  at("back").disabled = result.picture.previous === null;
  state.prediction = 0;
  showPrediction(result.prediction);
  showLive(result.live);
}

async function showPicture() {
  const { image: name, position, size, problem } = state.picture;
  const image = at("picture");
  at("caption").textContent = `${position}: ${name}${size ? ` · ${size[0]} × ${size[1]} pixels` : ""}`;
  at("world").hidden = size === null;
  if (size === null) throw new Error(`${problem}. Skip it with k.`);
  at("world").style.width = `${size[0]}px`;
  at("world").style.height = `${size[1]}px`;
  if (image.dataset.name !== name) {
    image.dataset.name = name;
    delete image.dataset.detail;
    image.src = `/picture?${new URLSearchParams({ id: name })}`;
    image.alt = `picture ${name}`;
    await image.decode().catch(() => {
      state.picture.size = null; // nothing can be drawn on what cannot be seen
      throw new Error("This picture cannot be shown. Skip it with k.");
    });
  }
  if (state.next !== null && state.next !== name) new Image().src = `/picture?${new URLSearchParams({ id: state.next })}`;
}

const goTo = (which) => () =>
  attempt(async () => {
    finish();
    await saved();
    const image = which();
    if (image === null) say("Every picture has strokes. Thank you!", true);
    else if (image === undefined) say("There is no other picture on this side.", true);
    else if (image === state.picture.image) say("This is the last picture without strokes.", true);
    else await visit(image);
  });

const skip = () =>
  attempt(async () => {
    drop();
    await saved();
    send("act", { do: "skip" });
    await saved();
    await visit(state.next ?? state.picture.image);
    say("Put off; it comes again at the end.", true);
  });

const next = goTo(() => state.next);
const back = goTo(() => state.picture.previous ?? undefined);
const following = goTo(() => state.picture.following ?? undefined);

// --- training in the background, and what comes of it ---

const POLL_MS = 700;
let polling = 0;

/** Show what the network is doing, and ask again as long as it does anything. */
function showLive(live) {
  if (!live || !at("train")) return;
  const busy = live.state === "busy";
  if (busy && document.activeElement === at("train")) view.focus({ preventScroll: true });
  at("train").hidden = busy;
  at("stop").hidden = !busy;
  at("news").textContent = live.text;
  at("news").classList.toggle("wrong", live.state === "failed");
  clearTimeout(polling);
  if (busy || live.state === "looking") polling = setTimeout(watchLive, POLL_MS);
}

/** Beside everything else: nothing waits for this, and a request that fails is made again. */
async function watchLive() {
  const image = state.picture.image;
  try {
    showNews(image, await call(query("/api/scribbles/live", { image })));
  } catch {
    polling = setTimeout(watchLive, RETRY_MS);
  }
}

function showNews(image, result) {
  if (image === state.picture.image) {
    if (!queue.length) state.next = result.next;
    showPrediction(result.prediction);
  }
  showLive(result.live);
}

const training = (action) => async () => {
  const image = state.picture.image;
  if (action === "train") say("");
  await saved().then(async () => showNews(image, await call(`/api/scribbles/${action}`, { image }))).catch((problem) => say(problem.message));
};
const startOrStop = () => at(at("stop")?.hidden === false ? "stop" : "train")?.click();

// --- prediction: class indices of a network, laid over the picture ---

async function showPrediction(version) {
  at("overlay-control").hidden = !version;
  at("overlay").hidden = !version;
  if (!version || version === state.prediction) return;
  state.prediction = version;
  const name = state.picture.image;
  const image = new Image();
  image.src = `/prediction?${new URLSearchParams({ id: name, version })}`;
  const found = await image.decode().then(() => true, () => false);
  if (state.picture.image !== name || state.prediction !== version) return;
  const canvas = at("overlay");
  canvas.hidden = !found;
  if (!found) return;
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const inks = state.classes.map((entry) => rgb(colorOf(entry.name)));
  for (let start = 0; start < pixels.data.length; start += 4) {
    const color = inks[pixels.data[start]];
    // The background stays clear: what is not covered is what the network takes for it.
    pixels.data.set(color && pixels.data[start] ? [...color, 255] : [0, 0, 0, 0], start);
  }
  context.putImageData(pixels, 0, 0);
}

const rgb = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));

// --- tools ---

function drawClasses() {
  const wanted = at("filter").value.trim().toLowerCase();
  const buttons = state.classes.map((entry, index) => {
    const button = document.createElement("button");
    const swatch = document.createElement("span");
    button.type = "button";
    button.className = inkClass(index);
    swatch.className = "swatch";
    button.append(swatch, `${entry.name} `);
    button.setAttribute("aria-pressed", String(index === state.current && !state.erasing));
    button.hidden = wanted !== "" && !entry.name.toLowerCase().includes(wanted);
    if (entry.key) {
      const key = document.createElement("kbd");
      key.textContent = entry.key;
      button.append(key);
    }
    button.addEventListener("click", () => choose(index));
    return button;
  });
  at("classes").replaceChildren(...buttons);
  buttons[state.current]?.scrollIntoView({ block: "nearest" });
}

function choose(index) {
  state.current = index;
  setErasing(false);
}

function setErasing(erasing) {
  finish();
  state.erasing = erasing;
  const focused = [...at("classes").children].indexOf(document.activeElement);
  drawClasses();
  if (focused >= 0) at("classes").children[focused].focus();
  at("brush").setAttribute("aria-pressed", String(!erasing));
  at("eraser").setAttribute("aria-pressed", String(erasing));
  at("ring").className = erasing ? "ring rubber" : `ring ${inkClass(state.current)}`;
  at("title").textContent = erasing ? "Erase strokes" : `Draw ${state.classes[state.current].name}`;
  showWidth();
}

function showWidth() {
  at("width").value = String(state.width);
  at("width-text").textContent = `${state.width} px`;
  repaint("ring");
}

const widen = (direction) => () => {
  const found = direction > 0 ? WIDTHS.find((width) => width > state.width) : WIDTHS.findLast((width) => width < state.width);
  state.width = found ?? state.width;
  showWidth();
};

/** Hide or show a layer by its slider; it remembers where it was. */
const toggle = (slider) => () => {
  const control = at(slider);
  if (Number(control.value)) [control.dataset.before, control.value] = [control.value, "0"];
  else control.value = control.dataset.before ?? "85";
  showLayers();
};

function showLayers() {
  for (const canvas of [at("ink"), at("live")]) canvas.style.opacity = String(Number(at("ink-opacity").value) / 100);
  at("overlay").style.opacity = String(Number(at("overlay-opacity").value) / 100);
}

// --- keys ---

const press = (id) => () => at(id).click();
const COMMANDS = {
  z: change("undo"), y: change("redo"), b: back, k: skip, enter: next, pageup: back, pagedown: following,
  e: () => setErasing(true), r: () => setErasing(false), "[": widen(-1), "]": widen(1), f: fit,
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "−": () => zoom(0.8),
  t: startOrStop, g: toggle("ink-opacity"), p: toggle("overlay-opacity"), h: press("help-button"), "?": press("help-button"),
  m: () => at("filter").focus(), escape: drop, " ": putDownOrLift,
  arrowleft: moveBrush(-1, 0), arrowright: moveBrush(1, 0), arrowup: moveBrush(0, -1), arrowdown: moveBrush(0, 1),
};

function commandFor(event) {
  const key = event.key.toLowerCase();
  const { target } = event;
  if (event.ctrlKey || event.metaKey) return key === "z" ? COMMANDS[event.shiftKey ? "y" : "z"] : key === "y" ? COMMANDS.y : null;
  if (event.altKey) return null;
  if (target === at("filter")) return key === "enter" ? filterEnter : key === "escape" ? leaveFilter : null;
  if (target.matches("button, a") && (key === "enter" || key === " ")) return null;
  if (target.matches("input") && (key.startsWith("arrow") || key.startsWith("page"))) return null;
  if (key === "m" && at("filter-label").hidden) return null;
  if (COMMANDS[key]) return COMMANDS[key];
  const index = state.classes.findIndex((entry) => entry.key === key);
  return index < 0 ? null : () => choose(index);
}

function filterEnter() {
  const first = [...at("classes").children].findIndex((button) => !button.hidden);
  if (at("filter").value.trim() !== "" && first >= 0) choose(first);
  leaveFilter();
}

function leaveFilter() {
  at("filter").value = "";
  drawClasses();
  view.focus();
}

document.addEventListener("keydown", (event) => {
  if (at("help").open) return;
  const command = commandFor(event);
  if (!command) return;
  event.preventDefault();
  if (event.repeat && [" ", "Enter"].includes(event.key)) return;
  command(event);
});

// After a click by mouse or finger the picture has the keys again, so that Space draws and does not press the button once more.
document.addEventListener("click", (event) => {
  if (event.detail > 0 && event.target.closest?.(".panel button, .dock button")) view.focus({ preventScroll: true });
});

at("brush").addEventListener("click", () => setErasing(false));
at("eraser").addEventListener("click", () => setErasing(true));
at("undo").addEventListener("click", change("undo"));
at("redo").addEventListener("click", change("redo"));
at("back").addEventListener("click", back);
at("skip").addEventListener("click", skip);
at("next").addEventListener("click", next);
at("fit").addEventListener("click", fit);
at("zoom-in").addEventListener("click", () => zoom(1.25));
at("zoom-out").addEventListener("click", () => zoom(0.8));
at("help-button").addEventListener("click", () => at("help").showModal());
at("filter").addEventListener("input", drawClasses);
at("width").addEventListener("input", () => {
  state.width = Number(at("width").value);
  showWidth();
});
at("train")?.addEventListener("click", training("train"));
at("stop")?.addEventListener("click", training("stop"));
at("ink-opacity").addEventListener("input", showLayers);
at("overlay-opacity").addEventListener("input", showLayers);
new ResizeObserver(resize).observe(view);

attempt(async () => {
  const result = await call(query("/api/scribbles/start"));
  state.classes = result.classes;
  at("filter-label").hidden = result.classes.every((entry) => entry.key !== null);
  drawClasses();
  for (const [index, button] of [...at("classes").children].entries()) {
    colors.set(state.classes[index].name, getComputedStyle(button).getPropertyValue("--ink").trim());
  }
  choose(Math.min(1, state.classes.length - 1));
  showLayers();
  view.focus();
  if (result.picture === null) {
    await visit(result.last);
    say("Every picture has strokes. Thank you!", true);
    return;
  }
  show(result);
  await showPicture();
  startWatch(0);
  fit();
});
