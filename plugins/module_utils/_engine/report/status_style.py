# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the status page looks: light and dark, on a phone and on paper."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--text:#1b2430;--soft:#5b6675;--line:#dfe3e8;
--good:#1a7f4b;--warn:#a35c00;--bad:#c0262d;--info:#2463b8;--bar:#9db7d8;
--goodback:#e3f4ea;--warnback:#fdf0dc;--badback:#fde8e8;--softback:#eef1f4}
@media (prefers-color-scheme:dark){:root{--back:#11161d;--card:#1a212b;--text:#e4e9f0;--soft:#9aa6b5;--line:#2e3845;
--good:#58c98b;--warn:#e6a84f;--bad:#ff7b7f;--info:#7fb0f2;--bar:#4a668c;
--goodback:#173526;--warnback:#3a2b12;--badback:#43201f;--softback:#252e3a}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.5 system-ui,-apple-system,
"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:24px 20px 48px}
h1{font-size:1.5rem;line-height:1.2;margin:0}h2{font-size:1.2rem;margin:32px 0 10px}h3{font-size:1rem;margin:0}
main>h3{margin:22px 0 8px}
p{margin:0}.soft{color:var(--soft)}.small{font-size:.85rem}
header{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:center;justify-content:space-between;margin-bottom:18px}
.badge{display:inline-block;padding:1px 9px;border-radius:999px;font-size:.8rem;font-weight:600;white-space:nowrap;
background:var(--softback);color:var(--soft)}
.badge.good{background:var(--goodback);color:var(--good)}.badge.warn{background:var(--warnback);color:var(--warn)}
.badge.bad{background:var(--badback);color:var(--bad)}.badge.info{color:var(--info)}
.big{font-size:.95rem;padding:4px 14px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;min-width:0}
.stack{display:grid;gap:12px}
.tiles{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));margin-bottom:16px}
.tile b{display:block;font-size:1.5rem;line-height:1.2}
.attention{list-style:none;margin:0;padding:0;display:grid;gap:8px}
.attention li{background:var(--badback);border-left:4px solid var(--bad);border-radius:6px;padding:8px 12px;
overflow-wrap:anywhere}
.attention li.warning{background:var(--warnback);border-color:var(--warn)}
code{font:.86em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.head{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:baseline;justify-content:space-between;margin-bottom:8px}
.facts{display:grid;gap:6px 18px;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));margin:0}
.facts div{min-width:0}.facts dt{color:var(--soft);font-size:.8rem}.facts dd{margin:0;overflow-wrap:anywhere}
.note{margin-top:8px;color:var(--soft);font-size:.85rem}
.badge+.badge{margin-left:6px}
.charts{display:grid;gap:10px 24px;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));margin-top:12px}
.charts figure{margin:0;min-width:0}.charts figcaption{color:var(--soft);font-size:.8rem}
svg{display:block;width:100%}.chart{height:56px}.meter{height:6px;margin-top:4px;border-radius:3px;overflow:hidden}
.bar{fill:var(--bar)}.last{fill:var(--info)}rect.bad{fill:var(--bad)}rect.good{fill:var(--good)}rect.warn{fill:var(--warn)}
.track{fill:var(--softback)}.axis{stroke:var(--line)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:500;font-size:.8rem;white-space:nowrap}tr:last-child td{border-bottom:0}
td.right,th.right{text-align:right}
footer{margin-top:32px;color:var(--soft);font-size:.85rem}
@media (max-width:560px){main{padding:16px 12px 32px}h1{font-size:1.25rem}.facts{grid-template-columns:1fr 1fr}
table.fold thead{display:none}table.fold tr{display:block;padding:6px 0;border-bottom:1px solid var(--line)}
table.fold tr:last-child{border-bottom:0}
table.fold td{display:flex;justify-content:space-between;gap:12px;border:0;padding:2px 0;text-align:right;
overflow-wrap:anywhere}
table.fold td::before{content:attr(data-name);color:var(--soft);text-align:left;flex:none}}
@media print{:root{--back:#fff;--card:#fff;--text:#000;--soft:#444;--line:#bbb;--good:#0b5a30;--warn:#7a4300;
--bad:#9c1219;--info:#123f80;--bar:#8aa;--goodback:#fff;--warnback:#fff;--badback:#fff;--softback:#eee}
html{font-size:13px}body{font-size:1rem}main{max-width:none;padding:0}h2,main>h3{break-after:avoid}
.tiles{grid-template-columns:repeat(auto-fit,minmax(110px,1fr))}.card,.attention li,tr,figure{break-inside:avoid}
.badge{border:1px solid currentColor}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
