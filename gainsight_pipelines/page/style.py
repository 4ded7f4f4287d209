"""How the page looks: one accent, two themes, and the rules of Quasar that they need."""

COLORS = {"primary": "#2457d6", "positive": "#18794e", "negative": "#b3261e", "warning": "#8a5a00", "dark": "#171a21"}

# Rules for one property, under the names that they have in Tailwind CSS, in the layers that NiceGUI declares for it:
# they win over the rules of Quasar and NiceGUI, but not over important ones and those of STYLE.
UTILITIES = """
@layer base {
  blockquote, dd, dl, figure, hr, p, pre { margin: 0; }
  ol, ul, menu { margin: 0; padding: 0; list-style: none; }
  code, kbd, pre, samp { font-size: 1em; }
  code, kbd, pre, samp { font-family: ui-monospace, SFMono-Regular, Menlo, Monaco, Consolas, monospace; }
  a { color: inherit; text-decoration: inherit; }
  img, svg { display: block; vertical-align: middle; }
  button { background: transparent; border: 0 solid; font: inherit; color: inherit; padding: 0; }
}
@layer utilities {
  .grid { display: grid; } .grid-cols-1 { grid-template-columns: minmax(0, 1fr); }
  .grow { flex-grow: 1; } .shrink-0 { flex-shrink: 0; }
  .items-start { align-items: flex-start; } .items-center { align-items: center; }
  .justify-between { justify-content: space-between; } .justify-end { justify-content: flex-end; }
  .gap-0 { gap: 0; } .gap-1 { gap: .25rem; } .gap-2 { gap: .5rem; } .gap-3 { gap: .75rem; } .gap-4 { gap: 1rem; }
  .gap-5 { gap: 1.25rem; } .gap-x-2 { column-gap: .5rem; } .gap-x-3 { column-gap: .75rem; }
  .gap-x-4 { column-gap: 1rem; } .gap-y-1 { row-gap: .25rem; } .gap-y-3 { row-gap: .75rem; }
  .w-full { width: 100%; } .w-40 { width: 10rem; } .min-w-0 { min-width: 0; } .mx-auto { margin-inline: auto; }
  .max-w-3xl { max-width: 48rem; } .max-w-4xl { max-width: 56rem; }
  .px-4 { padding-inline: 1rem; } .pl-11 { padding-left: 2.75rem; }
  .py-1 { padding-block: .25rem; } .py-2 { padding-block: .5rem; } .py-3 { padding-block: .75rem; }
  .overflow-x-auto { overflow-x: auto; } .break-words { overflow-wrap: break-word; }
  .break-anywhere { overflow-wrap: anywhere; }
  .whitespace-pre { white-space: pre; } .whitespace-pre-line { white-space: pre-line; }
  .whitespace-pre-wrap { white-space: pre-wrap; }
  .font-medium { font-weight: 500; } .leading-tight { line-height: 1.25; }
  .font-mono { font-family: ui-monospace, SFMono-Regular, Menlo, Monaco, Consolas, monospace; }
  .text-lg { font-size: 1.125rem; line-height: 1.75rem; } .text-xl { font-size: 1.25rem; line-height: 1.75rem; }
  .sr-only {
    position: absolute; width: 1px; height: 1px; padding: 0; margin: -1px; overflow: hidden; clip-path: inset(50%);
    white-space: nowrap; border-width: 0;
  }
  @media (min-width: 40rem) {
    .sm\\:grid-cols-2 { grid-template-columns: repeat(2, minmax(0, 1fr)); } .sm\\:col-span-2 { grid-column: span 2; }
  }
}
"""

# Fields have their label above the box, and as much space below as their hint needs. The colours are variables,
# since Quasar's own rules can't be overridden: what is readable on white isn't on black.
STYLE = """
:root {
  --page: #f6f7f9; --surface: #fff; --sunken: #f1f3f6; --line: #dfe3e9; --line-strong: #878f9c;
  --text: #171a21; --muted: #58606e; --accent: #2457d6; --accent-soft: #e9effd;
  --good: #18794e; --good-soft: #e3f4ea; --bad: #b3261e; --bad-soft: #fdecea; --warn: #7a5000; --warn-soft: #fdf1d8;
}
.body--dark {
  color-scheme: dark;
  --page: #0f1115; --surface: #171a21; --sunken: #1f232c; --line: #2c313c; --line-strong: #6c7482;
  --text: #e9ebef; --muted: #a2aab7; --accent: #8fb0ff; --accent-soft: #1d2a4a;
  --good: #7ddba5; --good-soft: #14301f; --bad: #ffb4ab; --bad-soft: #3d1a17; --warn: #f0c674; --warn-soft: #35280c;
}
body { background: var(--page) !important; color: var(--text); font-size: 14px; line-height: 1.5; letter-spacing: 0; }
.nicegui-content { padding: 24px 16px 96px; }
.q-header { background: var(--surface) !important; color: var(--text); border-bottom: 1px solid var(--line); }
h1, h2, h3 { letter-spacing: -.005em; line-height: 1.35; margin: 0; }
h1 { font-size: 18px; font-weight: 600; line-height: 1.25; }
h2 { font-size: 16px; font-weight: 600; }
h3 { font-size: 14px; font-weight: 600; }
.muted { color: var(--muted); }
.small { font-size: 12.5px; line-height: 1.45; }
.panel {
  background: var(--surface); border: 1px solid var(--line); border-radius: 10px; box-shadow: none !important;
  padding: 20px; gap: 16px; color: var(--text);
}
.inset { border: 1px solid var(--line); border-radius: 8px; padding: 16px; gap: 14px; width: 100%; }
.inset > [role=status]:empty, .panel > [role=status]:empty { margin-top: -14px; }
.facts > :not(.hidden) ~ :not(.hidden)::before { content: "·"; margin: 0 6px; color: var(--muted); }
.rows > * + * { border-top: 1px solid var(--line); }
.rows > :last-child { padding-bottom: 0; }
.notice { background: var(--warn-soft); color: var(--text); border-color: var(--warn); }
.q-btn.quiet-button { color: var(--muted); }
.banner { border-radius: 8px; padding: 10px 12px; background: var(--sunken); }
.banner.bad { background: var(--bad-soft); }
code { background: var(--sunken); border-radius: 4px; padding: 1px 4px; font-size: .92em; }
.good { color: var(--good); } .bad-text { color: var(--bad); } .warn { color: var(--warn); }
.pill {
  display: inline-flex; align-items: center; gap: 6px; white-space: nowrap; border-radius: 999px; padding: 1px 9px;
  font-size: 12px; font-weight: 500; line-height: 20px; background: var(--sunken); color: var(--muted);
}
.pill::before { content: ""; width: 6px; height: 6px; border-radius: 50%; background: currentColor; }
.pill.good { background: var(--good-soft); color: var(--good); }
.pill.bad { background: var(--bad-soft); color: var(--bad); }
.pill.warn { background: var(--warn-soft); color: var(--warn); }
.pill.busy { background: var(--accent-soft); color: var(--accent); }

.q-btn { text-transform: none; font-weight: 500; letter-spacing: 0; border-radius: 7px; }
.q-btn .on-left { margin-right: 6px; font-size: 18px; }
.q-btn--outline:before { border-color: var(--line-strong); }
body .q-btn.q-btn--outline { --q-primary: var(--text); }
.q-btn--outline .q-icon { color: var(--muted); }
.body--dark .bg-primary { --q-primary: #3d6ae0; }
.q-dialog .q-card { background: var(--surface); color: var(--text); border-radius: 12px; padding: 20px; }

.q-field { font-size: 14px; }
.q-field--outlined .q-field__control { border-radius: 7px; background: var(--surface); }
.q-field--outlined .q-field__control:before { border-color: var(--line-strong) !important; }
.q-field--dense .q-field__control, .q-field--dense .q-field__marginal { height: auto; min-height: 38px; }
.q-field--labeled { padding-top: 24px; }
.q-field--labeled .q-field__control-container { padding-top: 0 !important; }
.q-field--labeled .q-field__native, .q-field--labeled .q-field__input { padding-top: 6px; padding-bottom: 6px; }
.q-field--labeled .q-field__label {
  top: -25px; left: -12px; transform: none !important; font-size: 13px; font-weight: 500; line-height: 20px;
  color: var(--text) !important; max-width: none; pointer-events: auto;
}
.q-field__native, .q-field__input, .q-field__prefix, .q-field__suffix { color: var(--text); }
.q-field__input::placeholder, .q-field__native::placeholder { color: var(--muted); opacity: 1; }
.q-field--with-bottom { padding-bottom: 0; }
.q-field__bottom {
  position: static; transform: none !important; padding: 4px 0 0; min-height: 16px; color: var(--muted);
}
.q-field__messages { line-height: 1.4; font-size: 12.5px; }
.q-field--error .q-field__bottom { color: var(--bad); }
.q-field--disabled .q-field__control > div, .q-field--disabled .q-field__label { opacity: 1 !important; }
.q-field--disabled .q-field__control { background: var(--sunken); }
.q-field--disabled .q-field__native { color: var(--muted); }
.q-field__focusable-action, .q-chip__icon--remove { opacity: .8; }
.q-toggle__label { font-weight: 500; }
.q-toggle { align-items: center; }

.section { background: var(--surface); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.section > .q-expansion-item__container > .q-item { padding: 14px 20px; min-height: 56px; }
.section > .q-expansion-item__container > .q-expansion-item__content { padding: 4px 20px 20px; }
.section .q-item__section--side, .advanced .q-item__section--side { padding: 0 0 0 8px; }
.advanced { border: 1px solid var(--line); border-radius: 8px; }
.advanced .q-item { min-height: 40px; padding: 6px 14px; font-weight: 500; }
.advanced .q-expansion-item__content { padding: 4px 14px 16px; }
.q-table { color: var(--text); background: var(--surface); }

.nicegui-link { color: var(--accent); text-decoration: none; }
.nicegui-link:hover { text-decoration: underline; }
.q-notification__actions { color: #fff; }
.q-notification__message { white-space: pre-line; }
.body--dark .text-primary, .body--dark .q-field__control, .body--dark .q-toggle { --q-primary: #8fb0ff; }
.body--dark .text-positive { --q-positive: #7ddba5; }
.body--dark .text-negative, .body--dark .q-field--error { --q-negative: #ffb4ab; }
.body--dark .text-warning { --q-warning: #f0c674; }
:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
.q-btn:focus-visible, .q-toggle:focus-visible, .q-field__focusable-action:focus-visible {
  box-shadow: 0 0 0 2px var(--surface), 0 0 0 4px var(--accent);
}
.q-btn:focus > .q-focus-helper { opacity: 0; }
.q-dialog__inner:focus-visible { outline: none; }
@media (max-width: 599px) {
  .nicegui-content { padding: 16px 10px 80px; }
  .panel { padding: 14px; }
  .section > .q-expansion-item__container > .q-expansion-item__content { padding-left: 14px; padding-right: 14px; }
  .section > .q-expansion-item__container > .q-item { padding-left: 14px; padding-right: 10px; }
  .inset { padding: 12px; }
  .facts { flex-direction: column; align-items: flex-start; }
  .facts > :not(.hidden) ~ :not(.hidden)::before { content: none; }
}
"""
