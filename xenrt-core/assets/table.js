// The table of tests: filters, order, and only those rows that are on the screen.
const scroll = $('scroll'), rowsBox = $('rows');
const narrow = matchMedia('(max-width: 700px)');
let shown = [];
let rowHeight = 40;
let haystacks = null;

function haystack(test) {
  haystacks ||= new Array(tests.length);
  return haystacks[test.index] ||= (test.name + '\n' + test.id + '\n' + test.group + '\n' + test.message + '\n' + test.hosts.join(' ')).toLowerCase();
}
const FLAG_FILTERS = { flaky: FLAKY, leaked: LEAKED, warnings: WARNED, findings: FOUND };
const ORDER = {
  outcome: (a, b) => SEVERITY[b.code] - SEVERITY[a.code],
  name: (a, b) => { const x = label(a), y = label(b); return x < y ? -1 : x > y ? 1 : 0; },
  host: (a, b) => { const x = place(a), y = place(b); return x < y ? -1 : x > y ? 1 : 0; },
  start: (a, b) => a.start - b.start,
  time: (a, b) => b.took - a.took,
};

function filterTests() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = OUTCOMES.indexOf(state.outcome), flag = FLAG_FILTERS[state.outcome] || 0;
  shown = tests.filter(test =>
    (wanted < 0 || test.code === wanted) && (!flag || test.flags & flag) && (!state.group || test.group === state.group)
    && words.every(word => haystack(test).includes(word)));
  const sort = state.sort.replace(/^-/, ''), back = state.sort.startsWith('-') ? -1 : 1;
  if (ORDER[sort]) shown.sort((a, b) => back * ORDER[sort](a, b) || a.index - b.index);
  for (const header of document.querySelectorAll('[data-sort]')) {
    const mine = header.dataset.sort === sort;
    if (mine) header.parentElement.setAttribute('aria-sort', back > 0 ? 'ascending' : 'descending');
    else header.parentElement.removeAttribute('aria-sort');
  }
  for (const tile of document.querySelectorAll('[data-filter]')) tile.setAttribute('aria-pressed', tile.dataset.filter === state.outcome);
  $('shown').textContent = shown.length === tests.length ? tests.length.toLocaleString('en') + (tests.length === 1 ? ' test' : ' tests')
    : shown.length.toLocaleString('en') + ' of ' + tests.length.toLocaleString('en') + ' tests';
  $('table').setAttribute('aria-rowcount', shown.length + 1);
  $('clear').disabled = !(state.q || state.outcome || state.group || state.sort);
  root.dataset.shown = shown.length;
  root.dataset.first = shown.length ? shown[0].name : '';
  scroll.scrollTop = 0;
  drawRows(true);
}

function row(test, at) {
  const marks = [];
  if (test.flags & FLAKY) marks.push(badge('flaky'));
  if (test.flags & LEAKED) marks.push(badge('leaked'));
  if (test.flags & FOUND) marks.push(badge('finding', 'failed'));
  if (test.attempts > 1) marks.push(badge(test.attempts + '\u00d7', 'skipped'));
  const box = make('div', { class: 'tr', role: 'row', tabindex: '0', 'data-at': at, 'aria-rowindex': at + 2 },
    make('span', { role: 'cell', class: 'c-outcome' }, badge(test.outcome)),
    make('span', { role: 'cell', class: 'name' }, make('b', { title: label(test) }, label(test)), ...marks, make('i', {}, test.message)),
    make('span', { role: 'cell', class: 'where', title: place(test) }, place(test)),
    make('span', { role: 'cell', class: 'num c-start' }, moment(test.start)),
    make('span', { role: 'cell', class: 'num c-time' }, took(test)));
  box.style.top = at * rowHeight + 'px';
  return box;
}

function drawRows(anew, all) {
  rowHeight = narrow.matches ? 62 : 40;
  if (!shown.length) {
    rowsBox.style.height = 'auto';
    return rowsBox.replaceChildren(make('p', { class: 'empty' }, tests.length ? 'No test matches. Clear the filters to see all.' : 'The run had no test.'));
  }
  rowsBox.style.height = shown.length * rowHeight + 'px';
  const height = scroll.clientHeight || 600;
  const from = all ? 0 : Math.max(0, Math.floor(scroll.scrollTop / rowHeight) - 8);
  const to = all ? Math.min(shown.length, all) : Math.min(shown.length, Math.ceil((scroll.scrollTop + height) / rowHeight) + 8);
  const kept = new Map();
  if (!anew) for (const child of rowsBox.children) kept.set(+child.dataset.at, child);
  const focused = anew ? null : document.activeElement?.dataset?.at;
  const rows = [];
  for (let at = from; at < to; at++) rows.push(kept.get(at) || row(shown[at], at));
  // Rows that stay are not touched, so that they keep the focus.
  for (const [at, child] of kept) if ((at < from || at >= to) && at !== +focused) child.remove();
  if (kept.size) for (const child of rows) { if (!child.isConnected) rowsBox.append(child); } else rowsBox.replaceChildren(...rows);
}

function focusRow(at) {
  at = Math.max(0, Math.min(shown.length - 1, at));
  const top = at * rowHeight;
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  if (top + rowHeight > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + rowHeight - scroll.clientHeight;
  drawRows();
  rowsBox.querySelector(`[data-at="${at}"]`)?.focus({ preventScroll: true });
}

function setFilter(change) {
  Object.assign(state, change);
  writeAddress();
  showState();
}
function showState() {
  if ($('q').value !== state.q) $('q').value = state.q;
  $('group').value = state.group;
  $('outcome').value = state.outcome;
  filterTests();
}

function startTable() {
  const groups = data.groups.filter(Boolean).sort();
  $('group').append(...groups.map(group => make('option', { value: group }, group)));
  $('group').parentElement.hidden = groups.length < 2;
  $('outcome').append(...OUTCOMES.concat(Object.keys(FLAG_FILTERS)).map(outcome => make('option', { value: outcome }, outcome[0].toUpperCase() + outcome.slice(1))));
  let typed = 0;
  $('q').addEventListener('input', () => { clearTimeout(typed); typed = setTimeout(() => setFilter({ q: $('q').value }), tests.length > 5000 ? 120 : 0); });
  $('group').addEventListener('change', () => setFilter({ group: $('group').value }));
  $('outcome').addEventListener('change', () => setFilter({ outcome: $('outcome').value }));
  $('clear').addEventListener('click', () => setFilter({ q: '', group: '', outcome: '', sort: '' }));
  for (const header of document.querySelectorAll('[data-sort]')) header.addEventListener('click', () => {
    const sort = header.dataset.sort;
    setFilter({ sort: state.sort === sort ? '-' + sort : state.sort === '-' + sort ? '' : sort });
  });
  for (const tile of document.querySelectorAll('[data-filter]')) tile.addEventListener('click', () => {
    setFilter({ outcome: state.outcome === tile.dataset.filter ? '' : tile.dataset.filter });
    $('tests').scrollIntoView();
  });
  scroll.addEventListener('scroll', () => requestAnimationFrame(() => drawRows()), { passive: true });
  narrow.addEventListener('change', () => drawRows(true));
  addEventListener('resize', () => drawRows());
  rowsBox.addEventListener('click', event => {
    const at = event.target.closest('[data-at]')?.dataset.at;
    if (at !== undefined && !String(getSelection())) openTest(shown[at]);
  });
  rowsBox.addEventListener('keydown', event => {
    const at = +event.target.dataset.at;
    const page = Math.max(1, Math.floor(scroll.clientHeight / rowHeight) - 1);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: shown.length - 1 }[event.key];
    if (to !== undefined) { event.preventDefault(); focusRow(to); }
    if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); openTest(shown[at]); }
  });
  // Paper does not scroll.
  const MOST_ON_PAPER = 1000;
  addEventListener('beforeprint', () => {
    drawRows(true, MOST_ON_PAPER);
    $('printed').hidden = shown.length <= MOST_ON_PAPER;
    $('printed').textContent = `The first ${MOST_ON_PAPER} of ${shown.length} tests; filter to print others.`;
  });
  addEventListener('afterprint', () => { $('printed').hidden = true; drawRows(true); });
}
