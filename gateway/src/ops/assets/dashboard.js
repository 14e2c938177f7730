// @ts-check
import { bars, cells, told } from "./sales.js";
import { POINTS_MAX, actions, appended, before, figures, question, reason, scaled } from "./figures.js";

/** Time between two looks, and in a hidden tab. */
const LOOK_MS = 1000;
const LOOK_HIDDEN_MS = 10000;
/** Between two looks at the sales, which change more slowly. */
const SALES_MS = 10000;
const TOKEN = "ropeline-admin-token";

const byId = (id) => /** @type {any} */ (document.getElementById(id));
/** @type {Map<string, {card: HTMLElement, points: {line: number, calls: number}[], word: string|null}>} */
const cards = new Map();

class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? problem?.title ?? `The gateway answered ${status}.`);
    this.status = status;
  }
}

async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(TOKEN) ?? ""}` };
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(`/admin/v1${path}`, {
    method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(5000),
  });
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

function signedOut(why) {
  sessionStorage.removeItem(TOKEN);
  byId("sign-in-problem").textContent = why;
  byId("sign-in").hidden = false;
  byId("forget").hidden = true;
  byId("rooms").replaceChildren();
  byId("shows").replaceChildren();
  byId("sales").hidden = true;
  byId("connection").textContent = "";
  cards.clear();
}

function cardOf(room) {
  const known = cards.get(room);
  if (known) return known;
  const card = byId("room-template").content.firstElementChild.cloneNode(true);
  card.addEventListener("click", (event) => {
    const act = event.target.dataset?.act;
    if (act) confirmAct(room, act);
  });
  const next = before(cards.keys(), room);
  byId("rooms").insertBefore(card, (next && cards.get(next)?.card) || null);
  const made = { card, points: [], word: null };
  cards.set(room, made);
  return made;
}

function show(view, stats) {
  const known = cardOf(view.room);
  const find = (selector) => known.card.querySelector(selector);
  find("h2").textContent = view.title ? `${view.title} (${view.room})` : view.room;
  find(".phase").textContent = view.phase;
  find(".phase").dataset.phase = view.phase;
  const why = reason(view);
  find(".reason").textContent = why ? `– ${why}` : "";
  known.word = view.override;
  const may = actions(view.phase, view.override);
  for (const button of known.card.querySelectorAll("[data-act]")) {
    button.disabled = !may[button.dataset.act];
  }
  if (!stats) return;
  find(".figures").replaceChildren(...figures(stats).map(([name, value]) => {
    const [row, term, data] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    data.textContent = value;
    row.append(term, data);
    return row;
  }));
  const inside = stats.active + stats.called;
  gauge(known.card, "active", inside, stats.totalActiveUsers);
  gauge(known.card, "rate", Math.round(stats.callsPerSecond * 60), stats.newUsersPerMinute);
  known.points = appended(known.points, { line: stats.inLine, calls: stats.callsPerSecond });
  draw(find("canvas"), known.points);
}

function gauge(card, name, value, max) {
  const meter = card.querySelector(`meter.${name}`);
  meter.max = Math.max(max, 1);
  meter.value = value;
  card.querySelector(`.${name}-text`).textContent =
    `${value.toLocaleString("en")} of ${max.toLocaleString("en")}`;
}

function draw(canvas, points) {
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const { width, height } = canvas;
  pen.clearRect(0, 0, width, height);
  pen.lineWidth = 2.5;
  for (const [key, colour] of [["line", "--line"], ["calls", "--calls"]]) {
    pen.strokeStyle = style.getPropertyValue(colour);
    pen.beginPath();
    scaled(points.map((point) => point[key])).forEach((share, index) => {
      const x = width - (points.length - 1 - index) * (width / (POINTS_MAX - 1));
      pen.lineTo(x, height - 4 - share * (height - 10));
    });
    pen.stroke();
  }
  const last = points.at(-1);
  canvas.setAttribute("aria-label", `${last.line} in line, ${last.calls.toFixed(1)} calls a second`);
}

function confirmAct(room, act) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = `${act[0].toUpperCase()}${act.slice(1)} ${room}?`;
  byId("confirm-text").textContent = question(act, cards.get(room)?.word ?? null);
  byId("reason-row").hidden = act !== "pause";
  byId("reason").value = "";
  dialog.returnValue = "";
  dialog.onclose = async () => {
    if (dialog.returnValue !== "ok") return;
    const reason = byId("reason").value.trim();
    try {
      await call("POST", `/rooms/${room}/${act}`, act === "pause" && reason ? { reason } : undefined);
      byId("problem").textContent = "";
      await look();
    } catch (error) {
      byId("problem").textContent = `${room} was not changed: ${error.message}`;
    }
  };
  dialog.showModal();
}

async function look() {
  const { rooms } = await call("GET", "/rooms");
  byId("sign-in").hidden = true;
  byId("forget").hidden = false;
  const names = new Set(rooms.map((view) => view.room));
  for (const [room, { card }] of cards) {
    if (!names.has(room)) { card.remove(); cards.delete(room); }
  }
  await Promise.all(rooms.map(async (view) => {
    const stats = await call("GET", `/rooms/${view.room}/stats`).catch(() => null);
    show(view, stats);
  }));
  byId("connection").textContent = rooms.length === 0
    ? "No rooms yet: make one with “ropeline room create”."
    : `${rooms.length} ${rooms.length === 1 ? "room" : "rooms"}, ${new Date().toLocaleTimeString()}`;
}

function showSales(show) {
  const row = byId("show-template").content.firstElementChild.cloneNode(true);
  row.querySelector(".title").textContent = show.title;
  const when = new Date(show.startsAt).toLocaleString();
  row.querySelector(".when").textContent = show.cancelled ? `cancelled, ${when}` : when;
  const texts = cells(show);
  for (const cell of row.querySelectorAll("[data-name]")) {
    cell.textContent = texts[cell.dataset.name];
  }
  const svg = row.querySelector("svg");
  svg.setAttribute("viewBox", `0 0 ${show.hours.length * 10} 100`);
  svg.setAttribute("aria-label", told(show.hours));
  svg.replaceChildren(...bars(show.hours).map((share, index) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = share * 100;
    for (const [name, value] of [["x", index * 10 + 1], ["y", 100 - height], ["width", 8], ["height", height]]) {
      bar.setAttribute(String(name), String(value));
    }
    return bar;
  }));
  return row;
}

async function lookAtSales() {
  const { shows } = await call("GET", "/sales/overview");
  byId("shows").replaceChildren(...shows.map(showSales));
  byId("sales").hidden = shows.length === 0;
  byId("sales-problem").textContent = "";
}

async function watchSales() {
  if (sessionStorage.getItem(TOKEN) && !document.hidden) {
    // Who is not signed in is told so by the rooms.
    await lookAtSales().catch((error) => {
      if (error.status !== 401) byId("sales-problem").textContent = `Figures are old: ${error.message}`;
    });
  }
  setTimeout(watchSales, SALES_MS);
}

async function watch() {
  if (sessionStorage.getItem(TOKEN)) {
    try {
      await look();
    } catch (error) {
      if (error.status === 401) signedOut("This token is not valid.");
      else byId("connection").textContent = `Numbers are old: ${error.message}`;
    }
  }
  setTimeout(watch, document.hidden ? LOOK_HIDDEN_MS : LOOK_MS);
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, byId("token").value.trim());
  byId("token").value = "";
  byId("sign-in-problem").textContent = "";
  look().then(lookAtSales).catch((error) => signedOut(error.message));
});
byId("forget").addEventListener("click", () => signedOut(""));
if (!sessionStorage.getItem(TOKEN)) signedOut("");
watch();
watchSales();
