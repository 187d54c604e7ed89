"use strict";

// Elements. Everything shown is made of elements and text; nothing that a client or an upstream wrote is taken for HTML.
const $ = (id) => document.getElementById(id);

function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "style") for (const [key, css] of Object.entries(value)) node.style[key] = css;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined).map((c) => (c instanceof Node ? c : String(c))));
  return node;
}

// Makes the children of a node look like these. What is there already stays the same element, so that a click that has
// begun, the focus and a selection outlive a refresh. Children with data-key are known by it, all others by their place.
// held: nothing is added, moved or removed, since somebody is aiming at it.
function morph(node, children, held = false) {
  const next = children.filter((child) => child !== null && child !== undefined).map((c) => (c instanceof Node ? c : document.createTextNode(c)));
  const keyed = next.length > 0 && next.every((child) => child.dataset && child.dataset.key !== undefined);
  const old = new Map([...node.childNodes].map((child, i) => [keyed ? child.dataset && child.dataset.key : i, child]));
  const wanted = next.map((child, i) => {
    const known = old.get(keyed ? child.dataset.key : i);
    if (!known || known.nodeName !== child.nodeName) return child;
    alike(known, child);
    return known;
  });
  if (held) return;
  const stays = new Set(wanted);
  for (const child of [...node.childNodes]) if (!stays.has(child)) child.remove();
  wanted.forEach((child, i) => { if (node.childNodes[i] !== child) node.insertBefore(child, node.childNodes[i] || null); });
}

function alike(known, meant) {
  if (known.nodeType !== Node.ELEMENT_NODE) {
    if (known.data !== meant.data) known.data = meant.data;
    return;
  }
  for (const { name } of [...known.attributes]) if (!meant.hasAttribute(name)) known.removeAttribute(name);
  for (const { name, value } of meant.attributes) if (known.getAttribute(name) !== value && name !== "style") known.setAttribute(name, value);
  if (known.style.cssText !== meant.style.cssText) known.style.cssText = meant.style.cssText;
  morph(known, [...meant.childNodes]);
}

// One listener for all elements that fit, also for those that come later.
function on(root, event, selector, does) {
  root.addEventListener(event, (happened) => {
    const target = happened.target.closest(selector);
    if (target && root.contains(target) && !target.disabled) does(target, happened);
  });
}

const announce = (text) => { $("said").textContent = text; };
