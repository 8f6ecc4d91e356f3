// The flow page: keeps half an hour of seconds by asset, draws them once a message, says what the bot says.
"use strict";

const PARTS = ["reset", "absorption", "breakdown", "bias", "open interest"];
const STALE_MS = 4000;
const state = { span: 1800, minScore: 4, assets: [], asset: null, second: null, flow: new Map(), scored: new Map(), pointer: null };
const at = (id) => document.getElementById(id);
let heard = 0, skew = 0;

function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
function clock(second) { return new Date(second * 1000).toISOString().slice(11, 19); }
function number(value, digits) { return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }); }
function price(value) { return value == null ? "-" : number(value, value >= 1000 ? 1 : value >= 1 ? 3 : 6); }
function money(value) {
  const size = Math.abs(value), sign = value < 0 ? "-" : "+";
  if (size >= 1e9) return sign + number(size / 1e9, 2) + " B";
  if (size >= 1e6) return sign + number(size / 1e6, 2) + " M";
  return sign + (size >= 1e3 ? number(size / 1e3, 1) + " k" : number(size, 0));
}
function age(seconds) { return seconds == null ? "over 5 min" : seconds < 100 ? number(seconds, 0) + " s" : number(seconds / 60, 0) + " min"; }

// --- what arrives -------------------------------------------------------------------------------------------

function begin(message) {
  state.flow.clear(); state.scored.clear();
  state.span = message.span_s; state.minScore = message.min_score; state.assets = message.assets;
  if (!state.assets.includes(state.asset)) state.asset = state.assets[0] ?? null;
  at("min-score").textContent = number(state.minScore, 1);
  tabs();
  take(message);
}

function take(message) {
  heard = performance.now();
  if (message.now) skew = message.now * 1000 - Date.now();
  if (message.failure) { status("failed", message.failure); return; }
  if (message.second != null) state.second = message.second;
  for (const [asset, rows] of Object.entries(message.flow ?? {})) {
    if (!state.flow.has(asset)) state.flow.set(asset, new Map());
    for (const row of rows) state.flow.get(asset).set(row[0], row);
  }
  for (const row of message.scored ?? []) {
    if (!state.scored.has(row.pair)) state.scored.set(row.pair, new Map());
    state.scored.get(row.pair).set(row.second, row);
  }
  forget();
  if (message.trades) trades(message.trades);
  if (message.feeds) feeds(message.feeds);
  if (message.reasons) reasons(message.reasons);
  fresh();
  show();
}

function forget() {
  for (const rows of [...state.flow.values(), ...state.scored.values()]) {
    for (const second of rows.keys()) if (second < state.second - state.span) rows.delete(second);
  }
}

// --- words --------------------------------------------------------------------------------------------------

function status(kind, text) { const sign = at("state"); sign.dataset.state = kind; sign.textContent = text; }

function fresh() {
  if (state.second == null) { status("waiting", "no second is stored yet"); return; }
  const seconds = (Date.now() + skew) / 1000 - state.second - 1;
  if (performance.now() - heard > STALE_MS) status("stale", "no word from the collector for " + age((performance.now() - heard) / 1000));
  else if (seconds > 3) status("stale", "the newest second is " + age(seconds) + " old");
  else status("live", "live");
  at("clock").textContent = clock(state.second) + " UTC";
}

function cell(row, text, kind) { const made = row.insertCell(); made.textContent = text; if (kind) made.className = kind; }

function fill(table, rows, empty, write) {
  const body = document.createElement("tbody");
  for (const each of rows) write(body.insertRow(), each);
  if (!rows.length) { const only = body.insertRow().insertCell(); only.colSpan = 9; only.textContent = empty; only.className = "quiet"; }
  at(table).tBodies[0].replaceWith(body);
}

function trades(rows) {
  fill("trades", rows, "none", (row, trade) => {
    cell(row, trade.pair);
    cell(row, trade.direction > 0 ? "long" : "short", trade.direction > 0 ? "good" : "bad");
    cell(row, clock(trade.second)); cell(row, price(trade.price)); cell(row, number(trade.stake, 2)); cell(row, trade.tag);
  });
}

function feeds(rows) {
  fill("feeds", rows, "no second is stored yet", (row, feed) => {
    const shown = feed.holes.slice(-3).map(([first, stop]) => clock(first) + " to " + clock(stop));
    cell(row, feed.market); cell(row, feed.kind);
    cell(row, feed.covered ? "yes" : "no", feed.covered ? "good" : "bad");
    cell(row, number(feed.coverage_1h * 100, 1) + " %");
    cell(row, feed.lag_ms == null ? "-" : number(feed.lag_ms, 0) + " ms");
    cell(row, age(feed.last_trade_s));
    cell(row, shown.length ? shown.join(", ") + (feed.holes.length > 3 ? " and " + (feed.holes.length - 3) + " more" : "") : "none", shown.length ? "" : "quiet");
  });
}

function reasons(rows) {
  const list = at("reasons");
  list.replaceChildren(...rows.map((text) => { const item = document.createElement("li"); item.textContent = text; return item; }));
  at("entries").textContent = rows.length ? "vetoed" : "allowed";
  at("entries").className = rows.length ? "bad" : "good";
}

function tabs() {
  at("assets").replaceChildren(...state.assets.map((asset) => {
    const button = document.createElement("button");
    button.textContent = asset;
    button.setAttribute("aria-pressed", String(asset === state.asset));
    button.onclick = () => { state.asset = asset; tabs(); show(); };
    return button;
  }));
}

function decisions() {
  for (const [pair, rows] of state.scored) if (pair.split(/[/:]/)[0] === state.asset) return rows;
  return new Map();
}

function words(seconds, decided) {
  const last = seconds.findLast((row) => row[1] != null);
  at("price").textContent = price(last?.[1]);
  const newest = decided.at(-1);
  at("score").textContent = newest ? number(newest.score, 2) : "-";
  at("phase").textContent = newest ? newest.phase.replaceAll("_", " ") : "-";
  at("latency").textContent = newest ? number(newest.latency_ms, 0) + " ms" : "-";
  at("why").textContent = newest ? clock(newest.second) + "  " + newest.why : "no decision of a bot is logged";
  at("parts").replaceChildren(...PARTS.map((name, place) => {
    const bar = document.createElement("span");
    const points = newest?.parts[name] ?? 0;
    bar.className = "p" + place; bar.style.width = Math.max(points, 0) * 10 + "%"; bar.title = name + " " + number(points, 2);
    return bar;
  }));
}

// --- pictures -----------------------------------------------------------------------------------------------

function surface(id) {
  const canvas = at(id), box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  pen.font = "11px system-ui, sans-serif";
  return { pen, left: 8, right: box.width - 62, top: 8, bottom: box.height - 20 };
}

function range(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  if (low > high) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - room, high + room];
}

function horizontal(area) {
  const from = state.second - state.span;
  return (second) => area.left + (second - from) / state.span * (area.right - area.left);
}

function vertical(area, [low, high]) { return (value) => area.bottom - (value - low) / (high - low) * (area.bottom - area.top); }

function times(area) {
  const { pen } = area, x = horizontal(area), step = area.right - area.left < 420 ? 600 : 300;
  pen.fillStyle = colour("--quiet"); pen.strokeStyle = colour("--line"); pen.lineWidth = 1; pen.textAlign = "center";
  for (let second = Math.ceil((state.second - state.span) / step) * step; second <= state.second; second += step) {
    pen.beginPath(); pen.moveTo(x(second), area.top); pen.lineTo(x(second), area.bottom); pen.stroke();
    if (x(second) > 20) pen.fillText(clock(second).slice(0, 5), Math.min(x(second), area.right - 12), area.bottom + 14);
  }
}

function line(area, points, y, stroke, width) {
  const { pen } = area, x = horizontal(area);
  pen.beginPath(); pen.strokeStyle = stroke; pen.lineWidth = width; pen.lineJoin = "round";
  points.forEach(([second, value], place) => (place ? pen.lineTo(x(second), y(value)) : pen.moveTo(x(second), y(value))));
  pen.stroke();
}

function label(area, text, height, fill) {
  area.pen.fillStyle = fill; area.pen.textAlign = "left";
  area.pen.fillText(text, area.right + 5, Math.max(area.top + 8, Math.min(height + 4, area.bottom)));
}

// Labels at one edge, moved apart where they would overlap.
function labels(area, wanted) {
  wanted.sort((one, other) => one.height - other.height);
  let free = area.top;
  for (const each of wanted) { const height = Math.max(each.height, free); label(area, each.text, height, each.fill); free = height + 13; }
}

function nearest(area, rows) {
  if (state.pointer == null || !rows.length) return null;
  const wanted = state.second - state.span + (state.pointer - area.left) / (area.right - area.left) * state.span;
  return rows.reduce((best, row) => (Math.abs(row[0] - wanted) < Math.abs(best[0] - wanted) ? row : best));
}

function cross(area, second) {
  const x = horizontal(area)(second), { pen } = area;
  pen.beginPath(); pen.strokeStyle = colour("--quiet"); pen.lineWidth = 1; pen.moveTo(x, area.top); pen.lineTo(x, area.bottom); pen.stroke();
}

function drawFlow(seconds) {
  const area = surface("flow"), { pen } = area;
  if (!seconds.length) { at("flow-reading").textContent = "no trades yet"; return; }
  times(area);
  let spot = 0, perp = 0;
  const rows = seconds.map(([second, close, s, p, buy, sell]) => [second, close, (spot += s), (perp += p), buy, sell]);
  const prices = rows.filter((row) => row[1] != null).map((row) => [row[0], row[1]]);
  const flows = vertical(area, range(rows.flatMap((row) => [row[2], row[3]]))), levels = vertical(area, range(prices.map((one) => one[1])));
  const most = Math.max(...rows.map((row) => Math.max(row[4], row[5])));
  const x = horizontal(area);
  if (most > 0) {
    pen.fillStyle = colour("--forced");
    for (const row of rows) { const forced = Math.max(row[4], row[5]); if (forced) { const tall = 4 + 26 * forced / most; pen.fillRect(x(row[0]) - 1, area.bottom - tall, 2, tall); } }
  }
  line(area, rows.map((row) => [row[0], row[3]]), flows, colour("--perp"), 1.4);
  line(area, rows.map((row) => [row[0], row[2]]), flows, colour("--spot"), 1.4);
  line(area, prices, levels, colour("--price"), 1.6);
  labels(area, [
    { text: money(spot), height: flows(spot), fill: colour("--spot") },
    { text: money(perp), height: flows(perp), fill: colour("--perp") },
    ...(prices.length ? [{ text: price(prices.at(-1)[1]), height: levels(prices.at(-1)[1]), fill: colour("--price") }] : []),
  ]);
  const row = nearest(area, rows);
  if (row) cross(area, row[0]);
  const [second, close, s, p, buy, sell] = row ?? rows.at(-1);
  at("flow-reading").textContent = clock(second) + "  price " + price(close) + "  CVD spot " + money(s) + "  perp " + money(p) +
    (buy || sell ? "  liquidated " + money(buy) + " bought, " + money(sell) + " sold" : "");
}

function drawScores(decided) {
  const area = surface("scores"), { pen } = area;
  if (!decided.length || state.second == null) { at("scores-reading").textContent = "no decision of a bot is logged"; return; }
  times(area);
  const y = vertical(area, [0, Math.max(10, ...decided.map((row) => row.score))]), x = horizontal(area);
  const wide = Math.max((area.right - area.left) / state.span, 1);
  for (const row of decided) {
    let below = 0;
    PARTS.forEach((name, place) => {
      const points = Math.max(row.parts[name] ?? 0, 0);
      if (points) { pen.fillStyle = colour("--p" + place); pen.fillRect(x(row.second), y(below + points), wide, y(below) - y(below + points)); }
      below += points;
    });
  }
  pen.setLineDash([4, 4]);
  line(area, [[state.second - state.span, state.minScore], [state.second, state.minScore]], y, colour("--ink"), 1);
  pen.setLineDash([]);
  label(area, "entry " + number(state.minScore, 1), y(state.minScore), colour("--ink"));
  const found = nearest(area, decided.map((row) => [row.second, row]));
  if (found) cross(area, found[0]);
  const row = found ? found[1] : decided.at(-1);
  at("scores-reading").textContent = clock(row.second) + "  score " + number(row.score, 2) + "  " +
    PARTS.map((name) => name + " " + number(row.parts[name] ?? 0, 2)).join("  ") + "  " + row.phase.replaceAll("_", " ");
}

function ordered(rows) { return [...rows.entries()].sort((one, other) => one[0] - other[0]).map((entry) => entry[1]); }

function show() {
  const seconds = ordered(state.flow.get(state.asset) ?? new Map()), decided = ordered(decisions());
  words(seconds, decided);
  if (state.second == null) return;
  drawFlow(seconds);
  drawScores(decided);
}

// --- life ---------------------------------------------------------------------------------------------------

function listen() {
  const stream = new EventSource("/flow/events");
  stream.addEventListener("state", (event) => begin(JSON.parse(event.data)));
  stream.addEventListener("news", (event) => take(JSON.parse(event.data)));
  stream.onerror = () => status("stale", "not connected, trying again");
}

at("part-keys").replaceChildren(...PARTS.map((name, place) => {
  const key = document.createElement("span");
  key.className = "key p" + place; key.textContent = name;
  return key;
}));
for (const id of ["flow", "scores"]) {
  at(id).addEventListener("pointermove", (event) => { state.pointer = event.offsetX; show(); });
  at(id).addEventListener("pointerleave", () => { state.pointer = null; show(); });
}
window.addEventListener("resize", show);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
setInterval(fresh, 1000);
listen();
