// What a run found out, for programs and as the table that the README quotes.

import { median } from './race.mjs';

const FOOTNOTE = `
¹ Another decoder of the same size, with weights of its own.
`;
const PLACES = { browser: 'In the browser', native: 'Natively' };

/** Everything that was measured. `results` is what the runs left; `facts` holds for all of them. */
export function toJson(results, facts) {
  const contestants = results.map(({ entry, adapter, detail, rows, survived, end }) => ({
    name: entry.name,
    place: entry.place,
    same_decoder: entry.same,
    ours: Boolean(entry.ours),
    adapter,
    detail,
    rows: rows.map((row) => rowOf(row, results, entry)),
    longest: survived ?? null,
    ended_by: end ?? null,
  }));
  return { ...facts, contestants };
}

function rowOf({ length, steps }, results, entry) {
  const seconds = median(steps);
  const ours = results.find((other) => other.entry.ours && other.entry.place === entry.place)?.rows.find((row) => row.length === length);
  const fastest = ours && median(ours.steps);
  return {
    length,
    median_seconds: seconds,
    tokens_per_second: seconds && length / seconds,
    times_as_long_as_ours: seconds && fastest ? seconds / fastest : null,
    peak_bytes: steps.reduce((most, { bytes }) => Math.max(most, bytes ?? 0), 0) || null,
    steps,
  };
}

/** The tables. */
export function toMarkdown({ contestants, versions, chromium, minutes, failures }) {
  const places = Object.keys(PLACES).filter((place) => contestants.some((contestant) => contestant.place === place));
  const tables = places.map((place) => tableOf(place, contestants.filter((contestant) => contestant.place === place)));
  const verdict = failures.length === 0 ? 'All losses are as they have to be.' : `**Losses are not as they have to be:**\n\n${list(failures)}`;
  return `# Peers, side by side

Made by \`cargo xtask peers\` in ${minutes.toFixed(0)} minutes; [README.md](README.md) says what was run.
${[...Object.entries(versions).map((pair) => pair.join(' ')), chromium.replace('/', ' ')].filter(Boolean).join(', ')}.

${verdict}

${tables.join('\n')}${contestants.every((contestant) => contestant.same_decoder) ? '' : FOOTNOTE}`;
}

const list = (lines) => lines.map((line) => `- ${line}`).join('\n');

function tableOf(place, contestants) {
  const lengths = [...new Set(contestants.flatMap(({ rows }) => rows.map(({ length }) => length)))];
  const adapter = contestants.find((contestant) => contestant.adapter)?.adapter;
  const head = ['', ...lengths.map((length) => `${number(length)} tokens`), 'longest tried that trains', 'ended by'];
  const lines = contestants.map((contestant) => [
    nameOf(contestant),
    ...lengths.map((length) => cell(contestant.rows.find((row) => row.length === length))),
    contestant.longest ? number(contestant.longest) : '—',
    contestant.ended_by ?? '—',
  ]);
  const row = (cells) => `| ${cells.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;
  return `## ${PLACES[place]}${adapter ? `, on ${adapter}` : ''}

A step (median), how many times as long as ours it takes, and the most memory.

${[row(head), row(head.map((_, column) => (column === 0 || column === head.length - 1 ? '---' : '---:'))), ...lines.map(row)].join('\n')}
`;
}

function nameOf({ name, ours, detail, same_decoder: same }) {
  return [name, ours && detail && !name.endsWith(detail) && ` (${detail})`, !same && ' ¹'].filter(Boolean).join('');
}

function cell(row) {
  if (!row?.median_seconds) return '—';
  const parts = [`${row.median_seconds.toPrecision(3)} s`, row.times_as_long_as_ours && `${row.times_as_long_as_ours.toPrecision(2)} ×`];
  return [...parts, row.peak_bytes && `${(row.peak_bytes / 2 ** 20).toFixed(0)} MiB`].filter(Boolean).join(', ');
}

const number = (value) => value.toLocaleString('en-US');
