// Times, copy buttons and keys. The page is complete without this file; htmx keeps it up to date.
"use strict";

const clock = () => {
  const element = document.getElementById("clock");
  const scale = Number(element.dataset.scale);
  return { scale, now: Number(element.dataset.anchor) + scale * (Date.now() / 1000) };
};

function ago(seconds) {
  const late = Math.abs(seconds);
  const [amount, unit] =
    late < 60 ? [late, "s"] : late < 3600 ? [late / 60, "min"] : late < 172800 ? [late / 3600, "h"] : [late / 86400, "d"];
  if (late < 2) return "now";
  return seconds < 0 ? `in ${Math.floor(amount)} ${unit}` : `${Math.floor(amount)} ${unit} ago`;
}

function span(seconds) {
  if (seconds < 60) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

const set = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

function tick() {
  const { now } = clock();
  const local = new Date(now * 1000);
  set(document.querySelector("#clock [data-now]"), local.toLocaleTimeString());
  for (const element of document.querySelectorAll("time[data-at]")) {
    const at = Number(element.dataset.at);
    if (!element.title) element.title = new Date(at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    const moment = new Date(at * 1000);
    const far = moment.toDateString() !== local.toDateString();
    set(element, element.closest(".when") ? ago(now - at) : far ? moment.toLocaleString() : moment.toLocaleTimeString());
  }
  for (const element of document.querySelectorAll("[data-since]")) set(element, span(now - Number(element.dataset.since)));
}

function reveal() {
  for (const button of document.querySelectorAll("button.copy[hidden]")) button.hidden = false;
  tick();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    set(button, "Copied");
  } catch {
    getSelection().selectAllChildren(source); // the browser refuses: the user copies by hand
    set(button, "Selected");
  }
  setTimeout(() => set(button, "Copy"), 1500);
});

// An empty filter is not in the address.
document.addEventListener("formdata", ({ target, formData }) => {
  if (target.method !== "get") return;
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  const field = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!field || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  field.focus();
});

for (const name of ["htmx:sse:after:connection", "htmx:sse:after:message"])
  document.addEventListener(name, () => document.body.classList.add("is-live"));
for (const name of ["htmx:sse:error", "htmx:sse:close"])
  document.addEventListener(name, () => document.body.classList.remove("is-live"));
document.addEventListener("htmx:after:swap", reveal);

let fading;
new MutationObserver(() => {
  clearTimeout(fading);
  fading = setTimeout(() => document.getElementById("notice").replaceChildren(), 8000);
}).observe(document.getElementById("notice"), { childList: true });

setInterval(tick, 500);
reveal();
