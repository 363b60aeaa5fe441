// Copying: the one way to the clipboard, with or without HTTPS.

// Whether it was copied. Without HTTPS a browser has no clipboard: the old way, by a
// selection.
export async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "off-screen";
    document.body.append(field);
    field.select();
    const isDone = document.execCommand("copy");
    field.remove();
    return isDone;
  }
}
