// The one way to Django's JavaScript catalogue; without it (tests) English stays.

export function gettext(text) {
  return globalThis.gettext ? globalThis.gettext(text) : text;
}

export function ngettext(one, many, count) {
  if (globalThis.ngettext) return globalThis.ngettext(one, many, count);
  return count === 1 ? one : many;
}

// "%(name)s" → values.name; a name without a value stays as it is.
export function fill(text, values) {
  return text.replace(/%\((\w+)\)s/g, (whole, name) => (
    name in values ? String(values[name]) : whole
  ));
}
