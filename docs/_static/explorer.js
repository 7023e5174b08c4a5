/* The episode page: labels, heads' answers and views at one cursor. Plain script, no network. */
"use strict";

(() => {
  const root = document.getElementById("explorer");
  const data = window.XPERIENCE_EPISODE;
  if (!root) return;
  if (!data) {
    root.textContent = "The data of this page is missing: build the site again.";
    return;
  }

  const SVG = "http://www.w3.org/2000/svg";
  const TICKS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
  const NEAR_S = 10;
  const LEGIBLE_PX = 52;
  const clock = (frame) => {
    const tenths = Math.round((frame / data.fps) * 10);
    return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
  };
  // One colour a label on the whole page; successive ones differ in hue by the golden angle.
  const order = new Map();
  for (const some of [data.action, data.subtask, ...data.tasks])
    for (const name of some.names) if (!order.has(name)) order.set(name, order.size);
  const colour = (name) => `hsl(${(order.get(name) * 137.508) % 360} 55% 62%)`;

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  const state = { frame: 0, task: 0, head: 0, part: "all", from: 0, to: data.frames, rank: -1 };
  const task = () => data.tasks[state.task];
  const heads = () => (task() ? Object.entries(task().heads) : []);
  const across = (frame) => (100 * (frame - state.from)) / (state.to - state.from);

  /* Runs of equal codes: [first frame, frame after the last, code]. */
  function runs(starts, codes) {
    const found = [];
    starts.forEach((start, i) => {
      const last = found[found.length - 1];
      const near = last && start - last[1] < data.stride;
      if (near && last[2] === codes[i]) last[1] = Math.max(last[1], start + data.stride);
      else found.push([start, start + data.stride, codes[i]]);
    });
    return found;
  }

  /* Stretches where a head is wrong, in the order of time. */
  const mistakes = (head) =>
    runs(head.at, head.said.map((said, i) => (said === head.truth[i] ? 0 : 1))).filter((r) => r[2]);

  /* Largest errors of a head, each the largest within a second, from the largest on. */
  function peaks(head) {
    const places = head.error.map((_, i) => i).sort((a, b) => head.error[b] - head.error[a]);
    const found = [];
    for (const i of places) {
      if (found.length === 100) break;
      if (found.every((frame) => Math.abs(frame - head.at[i]) >= data.fps)) found.push(head.at[i]);
    }
    return found;
  }

  function box(first, after, attributes) {
    const [left, right] = [across(first), across(after)];
    if (right < 0 || left > 100) return [];
    const begin = Math.max(left, 0), end = Math.min(right, 100);
    const node = make("div", attributes);
    node.style.left = `${begin}%`;
    node.style.width = `max(${end - begin}%, 1px)`;
    return [node];
  }

  function strip(row) {
    return runs(row.at, row.codes).flatMap(([first, after, code]) => {
      if (code < 0) return [];
      const name = row.names[code] || "nothing";
      const title = `${name}, from ${clock(first)}`;
      return box(first, after, { class: "run", title }).map((node) => {
        node.style.background = colour(row.names[code]);
        const share = (across(after) - across(first)) / 100;
        if (share * stage.clientWidth > LEGIBLE_PX) node.textContent = name;
        return node;
      });
    });
  }

  function curve(head) {
    const most = Math.max(...heads().flatMap(([, one]) => one.error || [])) || 1;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 1");
    svg.setAttribute("preserveAspectRatio", "none");
    const line = document.createElementNS(SVG, "polyline");
    const points = head.error.map((e, i) => `${across(head.at[i]).toFixed(3)},${1 - e / most}`);
    line.setAttribute("points", points.join(" "));
    svg.append(line);
    return svg;
  }

  function rows() {
    const found = [
      { name: "action", at: data.starts, codes: data.action.codes, names: data.action.names },
      { name: "step", at: data.starts, codes: data.subtask.codes, names: data.subtask.names },
    ];
    if (!task()) return found;
    const first = heads()[0][1];
    if (first.truth)
      found.push({ name: "truth", at: first.at, codes: first.truth, names: task().names });
    for (const [name, head] of heads())
      found.push({ name, at: head.at, codes: head.said, names: task().names, head });
    return found;
  }

  function track(row) {
    const line = make("div", { class: "track" });
    if (row.codes) line.append(...strip(row));
    if (row.head && row.head.said)
      for (const [first, after] of mistakes(row.head))
        line.append(...box(first, after, { class: "wrong", title: `wrong from ${clock(first)}` }));
    if (row.head && row.head.error) line.append(curve(row.head));
    return line;
  }

  function ticks() {
    const span = (state.to - state.from) / data.fps;
    const wanted = Math.max(span / Math.max(stage.clientWidth / 70, 3), 0);
    const step = TICKS_S.find((s) => s >= wanted) || TICKS_S[TICKS_S.length - 1];
    const line = make("div", { class: "ticks" });
    const first = Math.ceil(state.from / data.fps / step) * step;
    for (let s = first; s * data.fps < state.to; s += step) {
      const text = `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
      const node = make("span", {}, text);
      node.style.left = `${across(s * data.fps)}%`;
      line.append(node);
    }
    return line;
  }

  /* Frames that are shown: all, those that were tested, or those around the cursor. */
  function span() {
    const near = NEAR_S * data.fps;
    if (state.part === "near") return [state.frame - near, state.frame + near];
    const asked = heads().flatMap(([, head]) => [head.at[0], head.at[head.at.length - 1]]);
    if (state.part === "tested" && asked.length)
      return [Math.min(...asked), Math.max(...asked) + data.window];
    return [0, data.frames];
  }

  function redraw() {
    [state.from, state.to] = span();
    const shown = rows();
    legend.replaceChildren(...shown.map((row) => make("li", {}, row.name)));
    stage.replaceChildren(...shown.map(track), ticks(), cursor);
    about.textContent = task() ? task().about : "";
    jumps.hidden = !task();
    const [name, head] = heads()[state.head] || ["", {}];
    const wrong = head.said ? mistakes(head).length : 0;
    next.disabled = previous.disabled = Boolean(head.said) && !wrong;
    next.textContent = head.error ? "next largest error" : "next mistake";
    previous.textContent = head.error ? "larger error" : "previous mistake";
    whose.replaceChildren(...heads().map(([one], i) => make("option", { value: i }, one)));
    whose.value = state.head;
    jumps.setAttribute("aria-label", `errors of the ${name} head`);
    move(state.frame);
  }

  /* Places in a sorted list of starts whose window is the last to begin at or before a frame. */
  function under(starts, frame) {
    let low = 0, high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= frame) low = middle + 1;
      else high = middle;
    }
    const last = low - 1;
    if (last < 0 || frame >= starts[last] + data.window) return [];
    let first = last;
    while (first > 0 && starts[first - 1] === starts[last]) first -= 1;
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  }

  /* An error for readers; metres as millimetres. */
  function size(error) {
    const metres = task().unit === "m";
    const shown = Number((metres ? 1000 * error : error).toPrecision(3));
    const unit = metres ? " mm" : task().unit === "1" ? "" : ` ${task().unit}`;
    return `${shown}${unit}`;
  }

  /* What a row says at a frame: its words, the labels that they stand for, and whether it's wrong. */
  function words(row, frame) {
    const places = under(row.at, frame);
    if (!places.length) return { text: "not predicted here", labels: [] };
    if (!row.codes)
      return { text: `error ${places.map((i) => size(row.head.error[i])).join(", ")}`, labels: [] };
    const labels = places.map((i) => (row.codes[i] < 0 ? null : row.names[row.codes[i]]));
    const text = labels.map((name) => (name === null ? "no label" : name || "nothing")).join(", then ");
    const wrong = row.head && places.some((i) => row.head.said[i] !== row.head.truth[i]);
    return { text, labels: labels.filter((name) => name !== null), wrong };
  }

  /* How a head did on all that it predicted. */
  function overall({ head }) {
    if (!head) return "";
    const n = head.at.length.toLocaleString("en");
    if (head.error) {
      const mean = head.error.reduce((sum, error) => sum + error, 0) / head.error.length;
      return `mean error ${size(mean)} (${n} tested)`;
    }
    const right = head.said.filter((said, i) => said === head.truth[i]).length;
    return `${Math.round((100 * right) / head.said.length)} % right (${n} tested)`;
  }

  function line(row) {
    const { text, labels, wrong } = words(row, state.frame);
    const cell = make("td", wrong ? { class: "wrong" } : {});
    for (const name of labels.slice(0, 1)) {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = colour(name);
      cell.append(swatch);
    }
    cell.append(text + (wrong ? " ✗" : ""));
    return make("tr", {}, make("th", { scope: "row" }, row.name), cell, make("td", {}, overall(row)));
  }

  function move(frame) {
    state.frame = Math.min(Math.max(Math.round(frame), 0), data.frames - 1);
    const outside = state.frame < state.from || state.frame >= state.to;
    if (outside && state.part !== "all") {
      if (state.part === "tested") part.value = state.part = "all";
      return redraw();
    }
    const now = words(rows()[0], state.frame).text;
    slider.value = state.frame;
    slider.setAttribute("aria-valuetext", `${clock(state.frame)}, ${now}`);
    cursor.style.left = `${across(state.frame)}%`;
    time.textContent = `${clock(state.frame)} · frame ${state.frame}`;
    said.replaceChildren(...rows().map(line));
    tiles.forEach(place);
    clearTimeout(remember);
    remember = setTimeout(write, 200);
  }

  function place([tile, camera]) {
    const [n, width, height] = data.views.cameras[camera];
    const columns = data.views.columns, lines = Math.ceil(n / columns);
    const at = Math.min(Math.floor(state.frame / data.views.every), n - 1);
    const percent = (step, steps) => (steps > 1 ? (step / (steps - 1)) * 100 : 0);
    tile.style.aspectRatio = `${width} / ${height}`;
    tile.style.backgroundSize = `${columns * 100}% ${lines * 100}%`;
    tile.style.backgroundPosition =
      `${percent(at % columns, columns)}% ${percent(Math.floor(at / columns), lines)}%`;
  }

  /* The address follows the cursor and is read when the page opens or the address changes. */
  let remember = 0, written = "";
  function write() {
    const said = { frame: state.frame };
    if (task()) Object.assign(said, { task: task().task, contract: task().contract });
    written = `#${new URLSearchParams(said)}`;
    try {
      history.replaceState(null, "", written);
    } catch {
      written = location.hash; // some browsers refuse this from disk; the page works without it
    }
  }

  function read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (location.hash === written || !asked.has("frame")) return false;
    const found = data.tasks.findIndex(
      (one) => one.task === asked.get("task") && one.contract === asked.get("contract")
    );
    if (found >= 0) picker.value = state.task = found;
    state.head = Math.min(state.head, Math.max(heads().length - 1, 0));
    const frame = Number(asked.get("frame"));
    state.frame = Number.isFinite(frame) ? Math.min(Math.max(Math.round(frame), 0), data.frames - 1) : 0;
    return true;
  }

  function jump(by) {
    const [, head] = heads()[state.head] || [];
    if (!head) return;
    if (head.error) {
      const found = peaks(head);
      state.rank = Math.min(Math.max(state.rank + by, 0), found.length - 1);
      move(found[state.rank]);
      told.textContent = `error ${state.rank + 1} of ${found.length}, from the largest on`;
      return;
    }
    const starts = mistakes(head).map(([first]) => first);
    if (!starts.length) return;
    const after = starts.findIndex((start) => start > state.frame);
    const before = starts.filter((start) => start < state.frame).length - 1;
    const at = by > 0 ? (after < 0 ? 0 : after) : before < 0 ? starts.length - 1 : before;
    move(starts[at]);
    told.textContent = `mistake ${at + 1} of ${starts.length}, in the order of time`;
  }

  let playing = 0;
  function play(on = !playing) {
    cancelAnimationFrame(playing);
    playing = 0;
    button.textContent = on ? "❚❚ stop" : "▶ play";
    if (!on) return;
    const began = performance.now(), from = state.frame >= data.frames - 1 ? 0 : state.frame;
    const step = (now) => {
      const frame = from + (Math.max(now - began, 0) / 1000) * data.fps;
      if (frame >= data.frames - 1) return play(false);
      playing = requestAnimationFrame(step);
      if (Math.floor(frame) !== state.frame) move(Math.floor(frame));
    };
    playing = requestAnimationFrame(step);
  }

  function enlarge(camera) {
    const large = gallery.dataset.large === camera ? "" : camera;
    gallery.dataset.large = large;
    for (const [tile, name] of tiles) {
      tile.setAttribute("aria-pressed", String(name === large));
      tile.parentElement.classList.toggle("large", name === large);
    }
  }

  function views() {
    const shown = [];
    for (const camera of Object.keys(data.views.cameras)) {
      const about = `view of ${camera}; press for a large one`;
      const tile = make("button", { class: "tile", type: "button", "aria-label": about, "aria-pressed": "false" });
      tile.style.backgroundImage = `url("_static/run/view_${camera}.jpg")`;
      tile.addEventListener("click", () => enlarge(camera));
      tiles.push([tile, camera]);
      shown.push(make("figure", {}, tile, make("figcaption", {}, camera)));
    }
    const reasons = new Map();
    for (const [camera, why] of Object.entries(data.views.missing))
      reasons.set(why, [...(reasons.get(why) || []), camera]);
    for (const [why, cameras] of reasons)
      shown.push(make("p", { class: "absent" }, `No view of ${cameras.join(", ")}: ${why}.`));
    return shown;
  }

  const tiles = [];
  const slider = make("input", {
    type: "range", min: 0, max: data.frames - 1, step: 1, value: 0, "aria-label": "time in the episode",
  });
  const picker = make("select", { "aria-label": "task and contract" });
  data.tasks.forEach((one, i) =>
    picker.append(make("option", { value: i }, `${one.task.replaceAll("_", " ")} (${one.contract})`))
  );
  const part = make("select", { "aria-label": "part of the recording" });
  const parts = { all: "the whole recording", tested: "the tested part", near: `${2 * NEAR_S} s around the cursor` };
  for (const [value, text] of Object.entries(parts)) part.append(make("option", { value }, text));
  const button = make("button", { type: "button" }, "▶ play");
  const whose = make("select", { "aria-label": "head whose errors to visit" });
  const previous = make("button", { type: "button" });
  const next = make("button", { type: "button" });
  const told = make("span", { class: "told", role: "status" });
  const jumps = make("div", { class: "controls", role: "group" }, whose, previous, next, told);
  const about = make("p", { class: "about" });
  const time = make("p", { class: "time" });
  const legend = make("ul", { class: "names", "aria-hidden": "true" });
  const cursor = make("div", { class: "cursor" });
  const stage = make("div", { class: "stage", "aria-hidden": "true" });
  const heading = ["row", "at the cursor", "on all windows"].map((text) => make("th", { scope: "col" }, text));
  const said = make("tbody");
  const gallery = make("div", { class: "views" }, ...views());
  const asked = make("label", {}, "Task ", picker);
  root.replaceChildren(
    gallery,
    make("div", { class: "controls" }, button, time, asked, make("label", {}, "Show ", part)),
    about,
    make("div", { class: "board" }, legend, make("div", { class: "lines" }, stage, slider)),
    jumps,
    make("div", { class: "said" }, make("table", {}, make("thead", {}, make("tr", {}, ...heading)), said))
  );
  if (!data.tasks.length) asked.replaceChildren("No head has answered this recording yet.");

  slider.addEventListener("input", () => move(Number(slider.value)));
  button.addEventListener("click", () => play());
  next.addEventListener("click", () => jump(1));
  previous.addEventListener("click", () => jump(-1));
  picker.addEventListener("change", () => {
    Object.assign(state, { task: Number(picker.value), head: 0, rank: -1 });
    told.textContent = "";
    redraw();
  });
  part.addEventListener("change", () => {
    state.part = part.value;
    redraw();
  });
  whose.addEventListener("change", () => {
    Object.assign(state, { head: Number(whose.value), rank: -1 });
    told.textContent = "";
    redraw();
  });

  const point = (event) => {
    const bounds = stage.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - bounds.left) / bounds.width, 0), 0.9999);
    move(state.from + share * (state.to - state.from));
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    play(false);
    point(event);
    slider.focus({ preventScroll: true });
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => event.buttons && point(event));

  /* The arrows work wherever on the page nothing else takes them; other keys, which scroll pages or
     are letters, only once something of this page has the focus. */
  const second = Math.round(data.fps);
  const steps = {
    ArrowLeft: -1, ArrowRight: 1, PageUp: -10 * second, PageDown: 10 * second,
    Home: -data.frames, End: data.frames,
  };
  document.addEventListener("keydown", (event) => {
    const on = event.target;
    const inside = root.contains(on) && on.tagName !== "SELECT";
    if (!(inside || (on === document.body && event.key.startsWith("Arrow")))) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const camera = Object.keys(data.views.cameras)[Number(event.key) - 1];
    if (event.key in steps) {
      const by = steps[event.key];
      move(state.frame + (event.shiftKey && Math.abs(by) === 1 ? by * second : by));
    } else if (event.key === "n") jump(1);
    else if (event.key === "p") jump(-1);
    else if (event.key === " " && on.tagName !== "BUTTON") play();
    else if (camera) enlarge(camera);
    else return;
    event.preventDefault();
  });
  window.addEventListener("hashchange", () => read() && redraw());
  window.addEventListener("resize", () => redraw());

  state.task = Math.max(data.tasks.findIndex((one) => one.contract === "corrected"), 0);
  if (data.tasks.length) picker.value = state.task;
  state.frame = (heads()[0] && heads()[0][1].at[0]) || 0;
  read();
  redraw();
})();
