// Everything works without this: it loads live pages again, and copies what is to be copied.
"use strict";

const REFRESH_MS = 60_000;

function reloadWhenNobodyIsTyping() {
  const busy = document.hidden || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
  if (busy) {
    setTimeout(reloadWhenNobodyIsTyping, REFRESH_MS / 12);
  } else {
    location.reload();
  }
}

if (document.body.dataset.live !== undefined) {
  document.getElementById("live")?.removeAttribute("hidden");
  setTimeout(reloadWhenNobodyIsTyping, REFRESH_MS);
}

for (const field of document.querySelectorAll("input[data-copy]")) {
  field.addEventListener("focus", () => field.select());
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl+C";
    }
  });
  field.after(button);
}
