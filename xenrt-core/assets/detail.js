// One test, in full.
const dialog = $('detail');

function openTest(test) {
  state.test = String(test.index);
  writeAddress(true);
  showTest(test);
}

function section(title, ...children) { return make('section', {}, make('h3', {}, title), ...children); }

function showTest(test) {
  const more = details(test), at = shown.indexOf(test);
  const go = to => { const next = shown[to]; if (next) { state.test = String(next.index); writeAddress(); showTest(next); } };
  const head = make('div', { class: 'dhead' },
    make('h2', { id: 'detail-title', tabindex: '-1' }, label(test)),
    make('div', { class: 'tools' },
      at >= 0 && make('button', { type: 'button', 'aria-label': 'Previous test', disabled: at === 0, onclick: () => go(at - 1) }, '\u2191'),
      at >= 0 && make('button', { type: 'button', 'aria-label': 'Next test', disabled: at === shown.length - 1, onclick: () => go(at + 1) }, '\u2193'),
      make('button', { type: 'button', onclick: () => dialog.close() }, 'Close')),
    make('p', { class: 'meta' }, badge(test.outcome), !!(test.flags & FLAKY) && badge('flaky'), !!(test.flags & LEAKED) && badge('leaked'),
      test.start >= 0 && make('span', {}, took(test)), test.start >= 0 && make('span', {}, 'began ' + moment(test.start)), place(test) && make('span', {}, place(test)),
      make('span', {}, test.id), more.tc && make('span', {}, more.tc), more.line && make('span', {}, 'line ' + more.line), more.priority && make('span', {}, 'priority ' + more.priority)));
  const body = make('div', { class: 'dbody' });
  const message = more.message || test.message;
  if (message) body.append(make('section', {}, make('div', { class: 'message o-' + test.outcome },
    make('p', {}, test.outcome + (more.phase ? ' in ' + more.phase : '') + (more.blame ? ', by the ' + more.blame : '')), make('pre', {}, message))));
  for (const finding of more.findings || []) body.append(make('div', { class: 'warn' }, make('b', {}, finding.pattern + ' in ' + finding.source), make('pre', {}, finding.excerpt)));
  for (const leak of more.leaked || []) body.append(make('div', { class: 'warn' }, make('b', {}, 'left behind: '), leak));
  for (const warning of more.warnings || []) body.append(make('div', { class: 'warn' }, make('b', {}, 'warning: '), warning));
  if (more.arguments) body.append(section('Arguments', make('pre', {}, more.arguments.join('\n'))));
  if (more.values) body.append(section('Measured values', table(['Value', 'Round', 'Attempt', ['How much']],
    more.values.map(value => [value.name, String(value.round), String(value.attempt), number(value.value) + (value.unit ? ' ' + value.unit : '')]))));
  if (more.attempts) body.append(section('Attempts', table(['Round', 'Attempt', 'Outcome', 'What it said', ['Took']],
    more.attempts.map(attempt => [String(attempt.round), String(attempt.attempt), badge(attempt.outcome.kind), make('pre', {}, attempt.outcome.message || ''), time(attempt.seconds * 1000)]))));
  if (more.phases) body.append(phases(more.phases));
  if (more.steps) body.append(section('Steps', make('ol', { class: 'steps' }, ...more.steps.map(step => make('li', {}, make('span', {}, step[0]), make('span', { class: 'num quiet' }, time(step[2])))))));
  if (more.evidence) body.append(section('Evidence', make('ul', { class: 'files' }, ...more.evidence.map(file => make('li', {}, make('a', { href: encodeFile(file), target: '_blank', rel: 'noopener' }, file))))));
  if (more.log) body.append(section('What it said and ran', log(more.log)));
  if (more.left_out) body.append(make('p', { class: 'quiet' }, 'Left out here: ' + more.left_out.join(', ') + '. The journal has everything.'));
  if (!body.childElementCount) body.append(make('p', { class: 'empty' }, 'It passed and said nothing else.'));
  dialog.replaceChildren(head, body);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  $('detail-title').focus({ preventScroll: true });
  root.dataset.open = test.name;
}

function table(heads, rows) {
  const last = heads.length - 1;
  return make('table', {}, make('thead', {}, make('tr', {}, ...heads.map(head => make('th', { scope: 'col', class: Array.isArray(head) ? 'num' : null }, String(head))))),
    make('tbody', {}, ...rows.slice(0, 2000).map(cells => make('tr', {}, ...cells.map((cell, index) => make('td', { class: index === last ? 'num' : null }, cell))))));
}

function phases(list) {
  const sums = new Map();
  for (const [phase, , took] of list) sums.set(phase, (sums.get(phase) || 0) + took);
  const bar = make('div', { class: 'phases', role: 'img', 'aria-label': [...sums].map(([phase, took]) => phase + ' ' + time(took)).join(', ') });
  for (const [phase, , took] of list.slice(0, 200)) {
    const part = make('i', { class: 'ph-' + phase, title: phase + ' ' + time(took) });
    part.style.flexGrow = Math.max(took, 1e-3);
    part.style.flexBasis = 0;
    bar.append(part);
  }
  return section('Phases', bar, make('p', { class: 'legend' }, ...[...sums].map(([phase, took]) => make('span', {}, make('i', { class: 'ph-' + phase }), phase + ' ' + time(took)))));
}

const LOG_CLASS = { phase: 'ph', step: 'st', warning: 'warning', command: 'cmd', failed_command: 'badcmd' };
function log(entries) {
  const box = make('div', { class: 'log', tabindex: '0' });
  if (entries.left_out) box.append(make('div', { class: 'ph' }, `[${entries.left_out} earlier entries are in the journal]`));
  for (const [at, kind, text] of entries.entries) box.append(make('div', { class: LOG_CLASS[kind] || null }, make('time', {}, moment(at * 1000)), make('span', {}, text.trimEnd())));
  return box;
}

// Relative to the folder of the run, whatever stands in the name.
const encodeFile = file => './' + (data.base + file).split('/').map(encodeURIComponent).join('/');

function showAddress() {
  readAddress();
  showState();
  const test = state.test === '' ? null : tests[+state.test];
  if (test) showTest(test);
  else if (dialog.open) dialog.close();
}
dialog.addEventListener('close', () => { if (state.test !== '') { state.test = ''; writeAddress(); } delete root.dataset.open; });
dialog.addEventListener('click', event => { if (event.target === dialog) dialog.close(); });
addEventListener('hashchange', showAddress);
addEventListener('popstate', showAddress);

startTable();
showAddress();
startTimeline();
startPlots();
root.dataset.rows = tests.length;
root.dataset.drawn = rowsBox.childElementCount;
root.dataset.ready = Math.round(performance.now());
