// The timeline: a lane for each host or worker, a bar for each attempt at a test.
const canvas = $('timeline'), tip = $('tip');
const LANE = 26, AXIS = 24, MOST_LANES = 60;
let lanes = [], view = { from: 0, to: 1 }, whole = 1, gutter = 120;

function bars() {
  // Tests with several attempts have a bar for each of them.
  const many = new Set(data.bars.map(bar => bar[0]));
  const all = data.bars.map(([test, start, took, code, lane]) => ({ test: tests[test], start, took, code, lane }));
  for (const test of tests) if (test.start >= 0 && !many.has(test.index)) all.push({ test, start: test.start, took: test.took, code: test.code, lane: test.lane });
  return all;
}

function arrange(by) {
  const named = new Map();
  const put = (name, bar) => { if (!named.has(name)) named.set(name, []); named.get(name).push(bar); };
  for (const step of data.preparation) put('preparation', { step: step[0], error: step[3], start: step[1], took: step[2], code: step[3] ? 1 : 3, prep: true });
  for (const bar of bars()) {
    if (by === 'lane') put('worker ' + (bar.lane + 1), bar);
    else if (bar.test.hosts.length) for (const host of bar.test.hosts) put(host, bar);
    else put('no host', bar);
  }
  const order = name => name === 'preparation' ? 0 : name === 'no host' ? 2 : 1;
  const compare = new Intl.Collator('en', { numeric: true }).compare;
  lanes = [...named].map(([name, list]) => ({ name, bars: list.sort((a, b) => a.start - b.start) }))
    .sort((a, b) => order(a.name) - order(b.name) || compare(a.name, b.name));
  // Bars of one lane that overlap (several workers at one host) stand in rows below each other.
  for (const lane of lanes) {
    const ends = [];
    for (const bar of lane.bars) {
      let at = ends.findIndex(end => end <= bar.start + 1e-6);
      if (at < 0) at = ends.length < 8 ? ends.length : 7;
      ends[at] = bar.start + bar.took;
      bar.row = bar.row && by === 'lane' ? 0 : at;
    }
    lane.rows = Math.max(1, ends.length);
    lane.placed = lane.bars.map((bar, index) => ({ ...bar, row: lane.bars[index].row }));
    lane.longest = lane.bars.reduce((most, bar) => Math.max(most, bar.took), 0);
  }
  lanes.length = Math.min(lanes.length, MOST_LANES);
}

function colours() {
  return { bars: OUTCOMES.map(name => css('--' + name)), text: css('--text'), quiet: css('--quiet'), line: css('--line'), soft: css('--soft'), card: css('--card'),
    phases: { prepare: '#3b6fb6', run: '#2f7d5b', check: '#67727f', evidence: '#9a5b12', cleanup: '#6d5a9c', undo: '#54606e' } };
}

// The first bar of a lane that can reach into the view.
function firstAt(lane, from) {
  let low = 0, high = lane.placed.length;
  const least = from - lane.longest;
  while (low < high) { const middle = (low + high) >> 1; if (lane.placed[middle].start < least) low = middle + 1; else high = middle; }
  return low;
}

const laneRow = lane => lane.rows === 1 ? LANE - 8 : Math.max(6, Math.floor(LANE * 1.6 / lane.rows));
const laneHeight = lane => lane.rows === 1 ? LANE : laneRow(lane) * lane.rows + 8;

function drawTimeline() {
  const width = canvas.parentElement.clientWidth, ratio = devicePixelRatio || 1;
  const height = AXIS + lanes.reduce((sum, lane) => sum + laneHeight(lane), 0) + 4;
  canvas.width = width * ratio; canvas.height = height * ratio; canvas.style.height = height + 'px';
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  const colour = colours();
  pen.font = '12px system-ui, sans-serif'; pen.textBaseline = 'middle';
  gutter = Math.min(width * .3, Math.max(60, ...lanes.map(lane => pen.measureText(lane.name).width + 24)));
  const span = view.to - view.from, scale = (width - gutter) / span;
  const x = at => gutter + (at - view.from) * scale;
  axis(pen, colour, width, height, x, span);
  let y = AXIS;
  for (const lane of lanes) {
    const tall = laneHeight(lane), thin = laneRow(lane);
    pen.strokeStyle = colour.line; pen.beginPath(); pen.moveTo(0, y + .5); pen.lineTo(width, y + .5); pen.stroke();
    pen.fillStyle = colour.text; pen.fillText(fit(pen, lane.name, gutter - 20), 12, y + tall / 2);
    pen.save(); pen.beginPath(); pen.rect(gutter, y, width - gutter, tall); pen.clip();
    drawLane(pen, colour, lane, y + 4, thin, x, scale, width);
    pen.restore();
    lane.top = y; lane.tall = tall;
    y += tall;
  }
}

function drawLane(pen, colour, lane, top, thin, x, scale, width) {
  // The worst code of the bars that share a column, for each row.
  const pending = new Array(lane.rows).fill(null);
  const flush = row => {
    const run = pending[row];
    if (!run) return;
    pen.fillStyle = colour.bars[run.code];
    pen.fillRect(run.from, top + row * thin, Math.max(1, run.to - run.from), thin - (lane.rows > 1 ? 1 : 0));
    pending[row] = null;
  };
  for (let at = firstAt(lane, view.from); at < lane.placed.length && lane.placed[at].start <= view.to; at++) {
    const bar = lane.placed[at], left = x(bar.start), right = left + bar.took * scale;
    if (right < gutter - 2 || left > width) continue;
    if (right - left < 3) {
      const column = Math.floor(left), run = pending[bar.row];
      if (run && column <= run.to) {
        if (column === run.from || SEVERITY[run.code] === SEVERITY[bar.code]) { run.to = Math.max(run.to, Math.ceil(right)); if (SEVERITY[bar.code] > SEVERITY[run.code]) run.code = bar.code; continue; }
        // A worse bar is never hidden under better ones.
        if (SEVERITY[bar.code] < SEVERITY[run.code]) { run.to = Math.max(run.to, column); continue; }
      }
      flush(bar.row);
      pending[bar.row] = { from: column, to: Math.max(column + 1, Math.ceil(right)), code: bar.code };
      continue;
    }
    flush(bar.row);
    const from = Math.max(left, gutter - 4), wide = Math.min(right, width + 4) - from, y = top + bar.row * thin;
    pen.fillStyle = bar.prep ? colour.quiet : colour.bars[bar.code];
    if (bar.prep && bar.error) pen.fillStyle = colour.bars[1];
    pen.fillRect(from, y, Math.max(1, wide - 1), thin - (lane.rows > 1 ? 1 : 0));
    if (wide > 90 && thin >= 14 && bar.test) phaseStrip(pen, colour, bar, x, scale, y + thin - 4);
    if (wide > 36 && thin >= 14) {
      pen.fillStyle = colour.card; pen.font = '11px system-ui, sans-serif';
      pen.fillText(fit(pen, bar.prep ? bar.step : MARKS[bar.test.outcome] + ' ' + bar.test.name, wide - 10), from + 5, y + thin / 2 - 1);
      pen.font = '12px system-ui, sans-serif';
    }
  }
  for (let row = 0; row < lane.rows; row++) flush(row);
}

function phaseStrip(pen, colour, bar, x, scale, y) {
  for (const [phase, start, took] of details(bar.test).phases || []) {
    if (start + took < bar.start || start > bar.start + bar.took) continue;
    pen.fillStyle = colour.phases[phase] || colour.quiet;
    pen.fillRect(x(start), y, Math.max(1, took * scale), 4);
  }
}

function axis(pen, colour, width, height, x, span) {
  const steps = [.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 108e5, 216e5, 864e5];
  const most = Math.max(2, Math.floor((width - gutter) / 90));
  const step = steps.find(step => span / step <= most) || 864e5 * Math.ceil(span / 864e5 / most);
  pen.fillStyle = colour.quiet; pen.strokeStyle = colour.soft;
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const left = Math.round(x(at)) + .5;
    pen.beginPath(); pen.moveTo(left, AXIS); pen.lineTo(left, height); pen.stroke();
    const text = axisTime(at);
    if (left + pen.measureText(text).width / 2 < width) { pen.textAlign = left < gutter + 20 ? 'left' : 'center'; pen.fillText(text, left, AXIS / 2); }
  }
  pen.textAlign = 'left';
}

// In the words of time(), but exact: marks may lie closer together than what it rounds to.
function axisTime(ms) {
  const rounded = Number(ms.toPrecision(8));
  if (rounded < 1e3) return rounded + (rounded ? ' ms' : '');
  if (rounded < 6e4) return rounded / 1e3 + ' s';
  const s = Math.round(rounded) / 1e3, parts = [[Math.floor(s / 3600), ' h'], [Math.floor(s / 60) % 60, ' min'], [+(s % 60).toFixed(3), ' s']];
  return parts.filter(([number]) => number).map(([number, unit]) => number + unit).join(' ');
}

function fit(pen, text, room) {
  if (room < 10) return '';
  if (pen.measureText(text).width <= room) return text;
  let length = Math.min(text.length, Math.floor(room / 4));
  while (length > 1 && pen.measureText(text.slice(0, length) + '\u2026').width > room) length--;
  return text.slice(0, length) + '\u2026';
}

function barAt(px, py) {
  const lane = lanes.find(lane => py >= lane.top && py < lane.top + lane.tall);
  if (!lane || px < gutter) return null;
  const scale = (canvas.clientWidth - gutter) / (view.to - view.from);
  const row = Math.min(lane.rows - 1, Math.max(0, Math.floor((py - lane.top - 4) / laneRow(lane))));
  const at = view.from + (px - gutter) / scale, slack = 3 / scale;
  let best = null;
  for (let index = firstAt(lane, at - slack); index < lane.placed.length && lane.placed[index].start <= at + slack; index++) {
    const bar = lane.placed[index];
    if (bar.row !== row || bar.start + bar.took < at - slack) continue;
    if (!best || SEVERITY[bar.code] > SEVERITY[best.code]) best = bar;
  }
  return best;
}

function showTip(bar, px, py) {
  tip.hidden = !bar;
  if (!bar) return;
  const lines = bar.prep ? [bar.step, time(bar.took) + (bar.error ? ', failed: ' + bar.error.slice(0, 200) : '')]
    : [label(bar.test), OUTCOMES[bar.code] + ', ' + time(bar.took) + ', began ' + moment(bar.start), bar.test.message.slice(0, 200)];
  if (bar.test) for (const [phase, start, took] of (details(bar.test).phases || []).slice(0, 8)) lines.push(phase + ' ' + time(took));
  tip.textContent = lines.filter(Boolean).join('\n');
  const box = canvas.parentElement;
  tip.style.left = Math.max(4, Math.min(px + 12, box.clientWidth - tip.offsetWidth - 4)) + 'px';
  tip.style.top = Math.max(4, Math.min(py + 14, box.clientHeight - tip.offsetHeight - 4)) + 'px';
}

function zoom(by, middle) {
  const span = Math.min(whole, Math.max(whole / 1e7, (view.to - view.from) * by));
  const share = (middle - view.from) / (view.to - view.from);
  move(middle - span * share, span);
}
function move(from, span) {
  from = Math.max(0, Math.min(whole - span, from));
  view = { from, to: from + span };
  requestAnimationFrame(drawTimeline);
}

function startTimeline() {
  whole = Math.max(data.took, 1e-3);
  view = { from: 0, to: whole };
  const hasHosts = tests.some(test => test.hosts.length);
  $('lanes').value = hasHosts ? 'host' : 'lane';
  arrange($('lanes').value);
  drawTimeline();
  const middle = () => (view.from + view.to) / 2;
  $('lanes').addEventListener('change', () => { arrange($('lanes').value); drawTimeline(); });
  $('zoom-in').addEventListener('click', () => zoom(.5, middle()));
  $('zoom-out').addEventListener('click', () => zoom(2, middle()));
  $('zoom-all').addEventListener('click', () => move(0, whole));
  addEventListener('resize', drawTimeline);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawTimeline);
  const perPixel = () => (view.to - view.from) / (canvas.clientWidth - gutter);
  canvas.addEventListener('wheel', event => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : .8, view.from + (event.offsetX - gutter) * perPixel());
  }, { passive: false });
  let drag = null;
  canvas.addEventListener('pointerdown', event => { drag = { x: event.offsetX, from: view.from, moved: false }; });
  addEventListener('pointerup', () => { if (drag) setTimeout(() => { drag = null; }); });
  canvas.addEventListener('pointermove', event => {
    if (drag && event.buttons) {
      drag.moved ||= Math.abs(event.offsetX - drag.x) > 4;
      if (drag.moved) { tip.hidden = true; return move(drag.from - (event.offsetX - drag.x) * perPixel(), view.to - view.from); }
    }
    const bar = barAt(event.offsetX, event.offsetY);
    canvas.style.cursor = bar?.test ? 'pointer' : 'grab';
    showTip(bar, event.offsetX, event.offsetY);
  });
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
  canvas.addEventListener('click', event => {
    if (drag?.moved) return;
    const bar = barAt(event.offsetX, event.offsetY);
    if (bar?.test) openTest(bar.test);
  });
  canvas.addEventListener('keydown', event => {
    const span = view.to - view.from;
    const act = { ArrowLeft: () => move(view.from - span / 5, span), ArrowRight: () => move(view.from + span / 5, span), '+': () => zoom(.5, middle()), '=': () => zoom(.5, middle()), '-': () => zoom(2, middle()), '0': () => move(0, whole) }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
}
