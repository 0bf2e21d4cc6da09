// Puts an address into the clipboard, for buttons with data-copy. Without JavaScript the button stays hidden, and the
// address beside it can be copied by hand.

for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  const label = button.textContent;
  button.hidden = false;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      // An LMS may not let its frames use the clipboard.
      button.textContent = "Please copy the address by hand";
    }
    window.setTimeout(() => { button.textContent = label; }, 4000);
  });
}
