"""The look of the HTML report: one column on a phone, three films a page on paper."""

STYLE = """
:root { color-scheme: light dark; --back: #fff; --card: #f6f7f9; --text: #17202a;
  --soft: #4d5966; --line: #c9d0d8; --link: #0b5cad; --amber: #f59e0b;
  --warn: #8a4b00; --warn-back: #fff4e0; --bad: #a4161a; }
@media (prefers-color-scheme: dark) { :root { --back: #101418; --card: #1a2027;
  --text: #e8ecf0; --soft: #a9b4bf; --line: #3a444f; --link: #7db8f5;
  --amber: #f5a524; --warn: #ffc46b; --warn-back: #33260f; --bad: #ff9a95; } }
* { box-sizing: border-box; }
html { scroll-padding-top: .5rem; }
body { font: 16px/1.45 system-ui, "Segoe UI", Roboto, sans-serif; max-width: 74rem;
  margin: 0 auto; padding: 1rem; background: var(--back); color: var(--text); }
h1 { font-size: 1.45rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 1.75rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
small { font-weight: normal; font-size: .85rem; }
a { color: var(--link); }
a:focus-visible, input:focus-visible, summary:focus-visible, .scroll:focus-visible,
.steps input:focus-visible + label { outline: 3px solid var(--link);
  outline-offset: 2px; }
.notice, .warn { border-left: 4px solid var(--warn); background: var(--warn-back);
  padding: .4rem .75rem; margin: .75rem 0; }
.soft { color: var(--soft); font-size: .9rem; }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; margin: 1rem 0;
  list-style: none; }
.counts a { display: block; padding: .35rem .75rem; border: 1px solid var(--line);
  border-radius: .5rem; background: var(--card); text-decoration: none; }
.counts b { font-size: 1.15rem; margin-right: .25rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.list { width: 100%; }
.list th, .list td { text-align: left; padding: .4rem .6rem; vertical-align: top;
  border-bottom: 1px solid var(--line); font-weight: normal; }
.list thead th { color: var(--soft); font-size: .9rem; white-space: nowrap; }
.list .n { text-align: right; white-space: nowrap; }
.list .file { overflow-wrap: anywhere; min-width: 9rem; }
.list .flag { display: block; color: var(--warn); font-size: .9rem; }
.list .bad { color: var(--bad); }
.track { display: block; height: .55rem; min-width: 3rem; background: var(--line);
  border-radius: .2rem; overflow: hidden; }
.track i { display: block; height: 100%; background: var(--amber); }
.list .track { margin-top: .2rem; }
.cards { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem;
  background: var(--card); break-inside: avoid; min-width: 0; }
.card:target { outline: 3px solid var(--link); }
.films { position: relative; background: #000; margin: 0; }
.films img { width: 100%; display: block; }
.films .paint { position: absolute; inset: 0; height: 100%; }
.films span { position: absolute; top: .25rem; padding: 0 .4rem; font-weight: 700;
  color: #fff; background: #000a; border-radius: .2rem; }
.films .r { left: .25rem; } .films .l { right: .25rem; }
.steps { border: 0; padding: 0; margin: 0 0 .5rem; display: flex; flex-wrap: wrap;
  align-items: center; gap: .25rem; min-width: 0; }
.steps legend { float: left; margin-right: .5rem; font-size: .9rem; padding: 0; }
.steps input { position: absolute; opacity: 0; }
.steps label { border: 1px solid var(--line); border-radius: .35rem; font-size: .9rem;
  padding: .3rem .6rem; cursor: pointer; background: var(--back); }
.steps input:checked + label { background: var(--text); color: var(--back);
  border-color: var(--text); }
.card:has(.off:checked) .paint { opacity: 0; }
.card:has(.third:checked) .paint { opacity: .33; }
.card:has(.most:checked) .paint { opacity: .66; }
.numbers { width: 100%; margin-top: .6rem; }
.numbers th { font-weight: normal; text-align: left; white-space: nowrap;
  padding: .1rem .6rem .1rem 0; width: 1%; }
.numbers td { padding: .1rem 0; }
.numbers td.n { text-align: right; white-space: nowrap; width: 1%;
  padding-left: .6rem; }
.numbers .all { font-weight: 700; font-size: 1.1rem; }
.scores { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; margin-top: .6rem; }
.scores p { margin: 0; }
.scale { display: flex; gap: 2px; margin: .3rem 0; }
.scale i { width: .9rem; height: .9rem; border: 1px solid var(--soft); }
.scale .on { background: var(--amber); }
.zones caption { text-align: left; padding-bottom: .25rem; white-space: nowrap; }
.zones th { font-weight: normal; font-size: .8rem; color: var(--soft);
  padding: 0 .4rem 0 0; text-align: left; }
.zones thead th { text-align: center; }
.zones td { border: 1px solid var(--soft); padding: .1rem .4rem; font-size: .85rem;
  text-align: right; min-width: 3.6rem; }
.zones .on { background: var(--amber); color: #000; font-weight: 700; }
.card .warn { font-size: .95rem; }
.card ul { margin: .5rem 0 0; padding-left: 1.1rem; }
.swatch { display: inline-block; width: 1.4rem; height: .9rem; vertical-align: -.1rem;
  margin-right: .4rem; }
.swatch.lung { border: 2px solid #00d2e6; background: #333; }
.swatch.spot { border: 2px solid #ffa000; background: #8a6a2f; }
.legend { list-style: none; padding: 0; margin: .5rem 0; }
details { margin: 1rem 0; } summary { cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem;
  border: 1px solid var(--line); padding: .75rem; border-radius: .5rem; }
#flagged:target ~ .scroll tbody tr:not(.flagged),
#unread:target ~ .scroll tbody tr:not(.unread),
#scored:target ~ .scroll tbody tr:not(.scored) { display: none; }
#flagged:target ~ .part, #unread:target ~ .part, #scored:target ~ .part {
  display: block; }
.part { display: none; }
@media (max-width: 40rem) { body { padding: .75rem; }
  .list .wide { display: none; } .list th, .list td { padding: .4rem .35rem; } }
@page { size: A4; margin: 12mm; }
@media print { :root { color-scheme: light; --back: #fff; --card: #fff; --text: #000;
    --soft: #333; --line: #999; --link: #000; --warn: #5c3200; --warn-back: #fff; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10.5pt; padding: 0; max-width: none; }
  .steps, .counts a[href], .part { text-decoration: none; }
  .steps { display: none; }
  .list thead { display: table-header-group; } tr { break-inside: avoid; }
  .list .wide { display: table-cell; }
  #flagged:target ~ .scroll tbody tr, #unread:target ~ .scroll tbody tr,
  #scored:target ~ .scroll tbody tr { display: table-row !important; }
  .part { display: none !important; }
  .cards { display: block; }
  .card { display: grid; grid-template-columns: 68mm 1fr; column-gap: 6mm;
    grid-template-rows: repeat(6, max-content) 1fr; margin-bottom: 5mm; }
  .card > * { grid-column: 2; } .card h3 { grid-column: 1 / -1; }
  .card .paint { opacity: 1 !important; }
  .unscored .paint { opacity: 0 !important; }
  .card .films { grid-column: 1; grid-row: 2 / -1; align-self: start; }
  h2 { break-after: avoid; }
  .scores { gap: 2mm 6mm; font-size: 9pt; } .zones td { min-width: 2.6rem; }
  pre { font-size: 8pt; } }
"""
