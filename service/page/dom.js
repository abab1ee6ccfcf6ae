/** The page's only ways to make and fill elements. All text goes in as text: a sensor may be named like markup. */

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; strings become text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Set an element's text, touching the document only if it changed. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
