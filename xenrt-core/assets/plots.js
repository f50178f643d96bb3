// Measured values, one small plot for each name and unit.
const MOST_DOTS = 300;

function startPlots() {
  if (!data.series.length) return;
  $('values').hidden = false;
  const box = $('plots');
  // Hundreds of names are drawn as they come into sight.
  const seen = new IntersectionObserver(entries => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); plot(entry.target, data.series[entry.target.dataset.series]); }
  }, { rootMargin: '300px' });
  data.series.forEach((series, index) => {
    const values = series.points.map(point => point[2]);
    const unit = series.unit ? ' ' + series.unit : '';
    const summary = values.length === 1 ? number(values[0]) + unit
      : `${values.length.toLocaleString('en')} values, median ${number(median(values), 4)}${unit}, ${number(least(values), 4)} to ${number(most(values), 4)}`;
    const figure = make('figure', { class: 'plot', 'data-series': index },
      make('h3', {}, series.name), make('p', { class: 'quiet' }, summary + (series.left_out ? ` (${series.left_out} more in the journal)` : '')));
    figure.style.margin = 0;
    box.append(figure);
    if (values.length < 2) return;
    if (index < 12) plot(figure, series); else seen.observe(figure);
  });
  addEventListener('beforeprint', () => { for (const figure of [...box.children].slice(0, 200)) if (data.series[figure.dataset.series].points.length > 1) plot(figure, data.series[figure.dataset.series]); });
}

const least = values => values.reduce((a, b) => Math.min(a, b)), most = values => values.reduce((a, b) => Math.max(a, b));
function median(values) {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function ticks(low, high) {
  const raw = (high - low) / 3, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(n => n * power).find(step => step >= raw);
  const list = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) list.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return list;
}

// What the first and the last point of a plot are: rounds or attempts of one test, or moments of the run.
function ends(points) {
  const first = points[0], last = points[points.length - 1];
  if (points.some(point => point[0] !== first[0])) return [moment(first[1]), moment(last[1])];
  if (first[3] !== last[3]) return ['round ' + first[3], 'round ' + last[3]];
  if (first[4] !== last[4]) return ['attempt ' + first[4], 'attempt ' + last[4]];
  return ['first', 'last of ' + points.length];
}

function plot(figure, series) {
  if (figure.querySelector('svg')) return;
  const WIDTH = 360, HEIGHT = 150, LEFT = 52, RIGHT = 10, TOP = 16, BOTTOM = 22;
  const points = series.points, values = points.map(point => point[2]);
  let low = least(values), high = most(values);
  // A value that hardly moves is not drawn as if it jumped; what is near zero shows its zero.
  if (low > 0 && low < high * .5) low = 0;
  const pad = high === low ? Math.abs(high) * .1 || 1 : (high - low) * .08;
  if (low !== 0) low -= pad;
  high += pad;
  const x = index => LEFT + (points.length === 1 ? .5 : index / (points.length - 1)) * (WIDTH - LEFT - RIGHT);
  const y = value => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': figure.textContent });
  for (const tick of ticks(low, high)) {
    picture.append(svg('line', { class: 'axis', x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }));
    picture.append(svg('text', { x: LEFT - 6, y: y(tick) + 4, 'text-anchor': 'end' }, compact(tick)));
  }
  picture.append(svg('text', { x: 0, y: 10 }, series.unit || 'no unit'));
  const [first, last] = ends(points);
  picture.append(svg('text', { x: LEFT, y: HEIGHT - 5 }, first), svg('text', { x: WIDTH - RIGHT, y: HEIGHT - 5, 'text-anchor': 'end' }, last));
  if (points.length <= MOST_DOTS) {
    picture.append(svg('polyline', { class: 'series', points: points.map((point, index) => x(index) + ',' + y(point[2])).join(' ') }));
    points.forEach((point, index) => {
      const test = tests[point[0]];
      const dot = svg('circle', { cx: x(index), cy: y(point[2]), r: points.length > 80 ? 1.8 : 3, class: 'o-' + test.outcome }, svg('title', {}, `${number(point[2])} ${series.unit}, ${label(test)}, round ${point[3]}, attempt ${point[4]}`));
      dot.addEventListener('click', () => openTest(test));
      picture.append(dot);
    });
  } else {
    // Too many to tell apart: the span of each column, and its mean.
    const bins = 150, per = points.length / bins, upper = [], lower = [], means = [];
    for (let bin = 0; bin < bins; bin++) {
      const part = values.slice(Math.floor(bin * per), Math.max(Math.floor(bin * per) + 1, Math.floor((bin + 1) * per)));
      const left = x((bin + .5) * per);
      upper.push(left + ',' + y(most(part)));
      lower.unshift(left + ',' + y(least(part)));
      means.push(left + ',' + y(part.reduce((a, b) => a + b) / part.length));
    }
    picture.append(svg('polygon', { class: 'spread', points: upper.concat(lower).join(' ') }), svg('polyline', { class: 'series', points: means.join(' ') }));
  }
  figure.append(picture);
}
const compact = value => Math.abs(value) >= 1e4 ? value.toLocaleString('en', { notation: 'compact', maximumSignificantDigits: 3 }) : String(Number(value.toPrecision(4)));
