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
  if (element.textContent !== text || element.firstElementChild) element.textContent = text;
};

const two = (number) => String(number).padStart(2, "0");
const day = (moment) => `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
const hour = (moment) => `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;

function tick() {
  const { now } = clock();
  const today = new Date(now * 1000);
  for (const element of document.querySelectorAll("[data-now]"))
    set(element, element.dataset.now === "date" ? `${day(today)} ${hour(today)}` : hour(today));
  for (const element of document.querySelectorAll("time[data-at]")) {
    const at = Number(element.dataset.at);
    const moment = new Date(at * 1000);
    element.title ||= `${day(moment)} ${hour(moment)}`;
    const near = day(moment) === day(today) ? hour(moment) : element.title;
    set(element, element.closest(".when") ? ago(now - at) : near);
  }
  for (const element of document.querySelectorAll("[data-since]")) set(element, span(now - Number(element.dataset.since)));
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
document.addEventListener("htmx:after:swap", tick);

let fading;
new MutationObserver(() => {
  clearTimeout(fading);
  fading = setTimeout(() => document.getElementById("notice").replaceChildren(), 8000);
}).observe(document.getElementById("notice"), { childList: true });

document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
setInterval(tick, 500);
tick();
