// What the pages of both tasks share: requests, the clock, messages and the progress bar.

export const at = (id) => document.getElementById(id);
const annotator = at("tool").dataset.annotator;

export const short = (value, digits) => String(Number(value.toFixed(digits)));

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${short(seconds / 3600, 1)} h`;
}

// --- time, paused while the page is hidden ---

const watch = { total: 0, since: null };

/** Start at 0, or at seconds already spent on this picture without an answer. */
export function startWatch(carry) {
  watch.total = 1000 * carry;
  watch.since = document.hidden ? null : performance.now();
}

export function elapsed() {
  return (watch.total + (watch.since === null ? 0 : performance.now() - watch.since)) / 1000;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden && watch.since !== null) {
    watch.total += performance.now() - watch.since;
    watch.since = null;
  } else if (!document.hidden && watch.since === null) {
    watch.since = performance.now();
  }
});

// --- server ---

export async function call(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ annotator, ...body }),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("Not saved: the server does not answer. Start it again, then press Enter.");
  }
  const result = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(result.error), { status: answer.status });
  return result;
}

export const query = (path, more = {}) => `${path}?${new URLSearchParams({ annotator, ...more })}`;

let busy = false;

/** Run one request at a time; show its failure and stay where we are. */
export async function attempt(work) {
  if (busy) return;
  busy = true;
  try {
    say("");
    await work();
  } catch (problem) {
    say(problem.message);
  } finally {
    busy = false;
    settled();
  }
}

/** Count what the page has dealt with, for those who wait for it. */
export function settled() {
  if (busy) return;
  at("tool").dataset.ready = String(Number(at("tool").dataset.ready || 0) + 1);
}

export function say(text, calm = false) {
  at("message").textContent = text;
  at("message").classList.toggle("calm", calm);
}

export function showProgress(progress) {
  at("progress").max = progress.total;
  at("progress").value = progress.done;
  const parts = [`${progress.done.toLocaleString("en")} of ${progress.total.toLocaleString("en")}`];
  if (progress.skipped) parts.push(`${progress.skipped} put off`);
  if (progress.pace_s !== null && progress.done < progress.total) {
    parts.push(`${short(progress.pace_s, 1)} s per picture`, `about ${duration(progress.left_s)} left`);
  }
  at("pace").textContent = parts.join(" · ");
}
