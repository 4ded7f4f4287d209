"""Scripts that look for visual and accessibility faults in the browser. Each returns a list of the faults."""

POOR_CONTRAST = """(() => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = color => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    const found = context.getImageData(0, 0, 1, 1).data;
    return [found[0], found[1], found[2], found[3] / 255];
  };
  const over = (upper, lower) => lower.map((value, n) => upper[n] * upper[3] + value * (1 - upper[3]));
  const part = value => value <= 10.3 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b) + 0.05;
  const poor = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    const isSeen = element.checkVisibility({opacityProperty: true, visibilityProperty: true});
    if (!text || !isSeen || element.closest(".q-icon, .sr-only, .disabled, .q-field--disabled")) continue;
    let above = [];
    for (let one = element; one; one = one.parentElement) above.unshift(getComputedStyle(one));
    const ground = above.reduce((lower, style) => over(rgba(style.backgroundColor), lower), [255, 255, 255]);
    const [r, g, b, alpha] = rgba(getComputedStyle(element).color);
    const opacity = above.reduce((product, style) => product * style.opacity, alpha);
    const [less, more] = [light(ground), light(over([r, g, b, opacity], ground))].sort((a, b) => a - b);
    if (more / less < 4.5) poor.push(`${text}: ${(more / less).toFixed(2)}`);
  }
  return poor;
})()"""
"""Text with a contrast below 4.5:1, except icons and disabled controls."""

WIDER_THAN_THE_SCREEN = """[
  ...(document.documentElement.scrollWidth > innerWidth ? ["the page scrolls"] : []),
  ...[...document.querySelectorAll("main *, header *")]
    .filter(one => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1)
    .concat([...document.querySelectorAll(".q-field__label")].filter(one => one.scrollWidth > one.clientWidth + 1))
    .map(one => one.textContent || one.outerHTML)
]"""
"""Elements that extend beyond the right edge, and labels that are cut off."""

UNNAMED = """(() => {
  const controls = [...document.querySelectorAll("button, input, textarea, a, [role=button], [role=switch]")]
    .filter(one => one.checkVisibility() && !one.closest("[aria-hidden=true]"));
  const labelled = one => one?.ariaLabel || one?.querySelector("[aria-label]")?.ariaLabel || one?.textContent;
  const name = one => one.ariaLabel || labelled(one.labels?.[0]) || one.innerText;
  const place = one => one.parentElement.closest("[role=group], [role=listitem], header, main")?.ariaLabel;
  const full = controls.map(one => `${place(one)}: ${name(one)}`).filter(one => !one.endsWith(": Clear"));
  return [
    ...controls.filter(one => !name(one)?.trim()).map(one => one.outerHTML),
    ...full.filter((one, n) => full.indexOf(one) !== n),
  ];
})()"""
"""Controls without a name or with the same name as another in their group. Clear buttons may share theirs."""
