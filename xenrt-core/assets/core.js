// The data of the page and what all of its parts use. Text from tests reaches the page only as
// text nodes and attributes: nothing here makes HTML of a string.
const root = document.documentElement;
const $ = id => document.getElementById(id);
addEventListener('error', event => { root.dataset.error = event.message || String(event.error); });
addEventListener('securitypolicyviolation', event => { root.dataset.error = 'policy: ' + event.violatedDirective; });

const data = JSON.parse($('data').textContent);
const OUTCOMES = ['passed', 'failed', 'errored', 'skipped', 'blocked'];
const MARKS = { passed: '\u2713', failed: '\u2717', errored: '!', skipped: '\u2013', blocked: '\u2298' };
// Of tests that share a pixel the worst is shown.
const SEVERITY = [0, 4, 3, 1, 2];
const FLAKY = 1, LEAKED = 2, WARNED = 4, FOUND = 8;

// A row: [name, group, id, outcome, start ms, took ms, lane, host set, flags, message, attempts, chunk]
const tests = data.rows.map((row, index) => ({
  index, name: row[0], group: data.groups[row[1]], id: data.ids[row[2]], outcome: OUTCOMES[row[3]], code: row[3],
  start: row[4], took: row[5], lane: row[6], hosts: data.hostsets[row[7]], flags: row[8], message: row[9], attempts: row[10], chunk: row[11],
}));
data.rows = null;

const label = test => {
  const dot = test.id.lastIndexOf('.');
  const plain = dot > 0 && test.id.slice(0, dot) === test.group && test.id.slice(dot + 1) === test.name;
  return plain ? test.id : test.group ? test.group + '/' + test.name : test.name;
};
const place = test => test.hosts.length ? test.hosts.join(', ') : test.start < 0 ? '' : 'worker ' + (test.lane + 1);

// As seconds::Readable writes it: 1.5 s, 10 min, 1 h 30 min.
function time(ms) {
  if (ms < 0) return '\u2013';
  const s = Math.round(ms / 1000);
  if (s < 60) {
    const [size, unit] = ms >= 1000 ? [1000, ' s'] : ms >= 1 ? [1, ' ms'] : [1e-3, ' \u00b5s'];
    const number = +(ms / size).toFixed(ms / size < 10 ? 2 : ms / size < 100 ? 1 : 0);
    return ms <= 0 ? '0 s' : number >= 1000 ? '1 s' : number + unit;
  }
  const parts = [[Math.floor(s / 3600), ' h'], [Math.floor(s / 60) % 60, ' min'], [s % 60, ' s']];
  return parts.filter(([number]) => number > 0).map(part => part.join('')).join(' ');
}
const moment = ms => ms < 0 ? '\u2013' : ms === 0 ? '0' : '+' + time(ms);
// A test that never began took no time at all.
const took = test => test.start < 0 ? '\u2013' : time(test.took);
const number = (value, digits = 6) => value.toLocaleString('en', { maximumSignificantDigits: digits });

// make('p', { class: 'quiet' }, 'text', child)
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined && child !== false));
  return element;
}
function svg(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const badge = (text, kind) => make('span', { class: 'badge o-' + (kind || text) }, text);
const css = name => getComputedStyle(root).getPropertyValue(name).trim();

// The details of tests stand in chunks that are read when one of their tests is looked at.
const chunks = new Map();
function details(test) {
  if (test.chunk < 0) return {};
  if (!chunks.has(test.chunk)) {
    if (chunks.size > 16) chunks.delete(chunks.keys().next().value);
    chunks.set(test.chunk, JSON.parse($('d' + test.chunk).textContent));
  }
  return chunks.get(test.chunk)[test.index] || {};
}

// The state of the page is in its address, so that a look at it can be sent to somebody.
const state = { q: '', outcome: '', group: '', sort: '', test: '' };
function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(state)) state[key] = given.get(key) || '';
}
function writeAddress(push) {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) if (value !== '') given.set(key, value);
  const text = String(given);
  const address = text ? '#' + text : location.pathname + location.search;
  try { history[push ? 'pushState' : 'replaceState'](null, '', address); } catch { location.hash = text; }
}
