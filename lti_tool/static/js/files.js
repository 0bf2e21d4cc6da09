// Lists the files chosen and says before the upload, not after it, that one is empty or too large.

const UNITS = ["bytes", "KB", "MB", "GB"];

function readable(bytes) {
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1).replace(".0", "")} ${UNITS[unit]}`;
}

function remark(file, max) {
  if (file.size === 0) return "This file is empty. Please choose another.";
  if (max > 0 && file.size > max) return `Too large: at most ${readable(max)}. Please choose a smaller file.`;
  return "";
}

for (const input of document.querySelectorAll("input[type=file]")) {
  const max = Number(input.dataset.maxBytes ?? 0);
  const list = document.createElement("ul");
  list.className = "chosen-files";
  list.setAttribute("aria-live", "polite");
  input.after(list);

  input.addEventListener("change", () => {
    list.replaceChildren(...[...input.files].map((file) => {
      const item = document.createElement("li");
      const problem = remark(file, max);
      item.textContent = `${file.name}, ${readable(file.size)}`;
      if (problem) {
        const warning = document.createElement("strong");
        warning.textContent = ` ${problem}`;
        item.append(warning);
      }
      return item;
    }));
  });
}
