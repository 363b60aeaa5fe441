// A <details> that lies over the page: a click beside it and Escape close it.

export function closeOutside(details) {
  const outside = (event) => { if (!details.contains(event.target)) details.open = false; };
  // Only while it is open: a display that goes leaves nothing behind.
  details.addEventListener("toggle", () => {
    if (details.open) document.addEventListener("click", outside);
    else document.removeEventListener("click", outside);
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    event.stopPropagation();
    details.open = false;
    details.querySelector("summary").focus();
  });
}
