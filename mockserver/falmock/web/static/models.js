// The form of a model: files by drag and drop, JSON that is checked while it is typed, examples to start from.
// Without this file the form is complete: a browser sends chosen files by itself, and the server checks JSON.
"use strict";

function checkJson(control) {
  let problem = "";
  if (control.value.trim()) {
    try {
      JSON.parse(control.value);
    } catch (error) {
      problem = `This is not JSON: ${error.message}`;
    }
  }
  control.setCustomValidity(problem);
}

function checkFile(drop) {
  const [text, file] = drop.querySelectorAll("input, textarea");
  const missing = "required" in drop.dataset && !text.value.trim() && !file.files.length;
  text.setCustomValidity(missing ? "Choose a file, or give its URL." : "");
}

function size(bytes) {
  return bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

function showChosen(drop) {
  const chosen = drop.querySelector("output");
  const { files } = drop.querySelector("input[type=file]");
  chosen.replaceChildren();
  for (const file of files) {
    const item = document.createElement("span");
    item.textContent = files.length > 1 ? `${file.name}, ${size(file.size)}` : size(file.size); // one is named beside its button
    chosen.append(item);
    if (!file.type.startsWith("image/") || file.size > 8 * 1048576) continue;
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      const image = document.createElement("img");
      image.alt = file.name;
      image.src = reader.result;
      item.before(image);
    });
    reader.readAsDataURL(file);
  }
}

for (const control of document.querySelectorAll("[data-json]")) {
  control.addEventListener("input", () => checkJson(control));
  checkJson(control);
}

for (const drop of document.querySelectorAll("[data-drop]")) {
  const input = drop.querySelector("input[type=file]");
  const over = (is) => drop.classList.toggle("over", is);
  drop.addEventListener("input", () => checkFile(drop));
  input.addEventListener("change", () => {
    showChosen(drop);
    checkFile(drop);
  });
  drop.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    over(true);
  });
  drop.addEventListener("dragleave", (event) => over(drop.contains(event.relatedTarget)));
  drop.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    over(false);
    const files = new DataTransfer();
    for (const file of [...event.dataTransfer.files].slice(0, input.multiple ? undefined : 1)) files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
  showChosen(drop);
  checkFile(drop);
}

// A file that is dropped beside a field must not replace the page.
for (const name of ["dragover", "drop"])
  document.addEventListener(name, (event) => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });

for (const button of document.querySelectorAll("button[data-fill]"))
  button.addEventListener("click", () => {
    const control = document.getElementById(button.dataset.fill);
    control.value = button.dataset.with;
    control.dispatchEvent(new Event("input", { bubbles: true }));
    control.focus();
  });
