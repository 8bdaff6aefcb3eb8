// Keeps the page current while somebody looks at it, and sends the Stop and Suspend actions.
//
// An open page must neither keep the Machine awake nor wake it. So the page sends no request while it is hidden, after a
// minute without pointer or keyboard, after a request that got no answer, and after the Machine has begun to leave.
// All addresses are relative to the page, because the panel may be mounted below `/`.

const POLL_MS = 5_000;
const ACTIVE_MS = 60_000; // how long after the last pointer or key event somebody counts as looking
const ANSWER_MS = 15_000;

const element = (id) => document.getElementById(id);
let timer;
let polling = false;
let left = false;
let lastActive = Date.now();
let confirmed; // the action and token as they were when the dialog opened

function start() {
  lastActive = Date.now();
  clearInterval(timer);
  timer = setInterval(poll, POLL_MS);
  element("continue").hidden = true;
  element("updating").textContent = "Updated every 5 s";
}

function pause(reason) {
  clearInterval(timer);
  element("continue").hidden = left;
  element("updating").textContent = reason;
}

async function poll() {
  if (Date.now() - lastActive >= ACTIVE_MS) return pause("Paused: an open page must not keep the Machine awake");
  if (document.hidden || polling) return;
  polling = true;
  try {
    update(await newerPage());
  } catch {
    if (!left) pause("Paused: the Machine did not answer");
  }
  polling = false;
}

async function newerPage() {
  const headers = { Accept: "text/html", "Fly-Prefer-Instance-Id": element("machine").dataset.machine };
  const response = await fetch("./", { headers, signal: AbortSignal.timeout(ANSWER_MS) });
  if (!response.ok) throw new Error(response.status);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function update(newer) {
  if (left) return;
  for (const current of document.querySelectorAll("[data-live]")) {
    const fresh = newer.getElementById(current.id);
    if (fresh && !fresh.isEqualNode(current)) current.replaceChildren(...fresh.childNodes);
  }
  const { machine, state } = element("machine").dataset;
  if (state === "draining") leave(machine, state);
}

function leave(machine, state) {
  left = true;
  pause("");
  const pill = document.querySelector("#machine .pill");
  pill.textContent = state;
  pill.className = "pill draining";
  element("leaving").textContent =
    `Machine ${machine} is ${state}. This page sends no more requests, because a request would wake the Machine.`;
  element("left").hidden = false;
  element("confirm")?.close("");
  element("form")?.remove();
  element("wake").focus();
}

function confirm(event) {
  event.preventDefault();
  const button = event.submitter;
  confirmed = { mode: button.value, token: element("token").value };
  element("result").textContent = "";
  element("question").textContent = `${button.textContent} Machine ${element("machine").dataset.machine}?`;
  element("verdict").textContent = `${element("awake-summary").textContent}.`;
  element("effect").textContent = button.dataset.effect;
  element("do").textContent = `${button.textContent} it`;
  element("confirm").returnValue = "";
  element("confirm").showModal();
}

async function sleep({ mode, token }) {
  element("result").textContent = "Sent …";
  const headers = {
    "X-Admin-Token": token, // Authorization may be that of a login
    "Fly-Force-Instance-Id": element("machine").dataset.machine, // of several Machines, the one that is shown
  };
  try {
    const body = JSON.stringify({ mode });
    const response = await fetch("api/sleep", { method: "POST", headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
    const answer = await response.json().catch(() => ({ error: response.statusText }));
    if (response.status === 202) leave(answer.machine_id, answer.status);
    else element("result").textContent = refusal(response, answer.error);
  } catch {
    element("result").textContent = "No answer: the Machine may be asleep or out of reach. Reload this page to see.";
  }
}

function refusal({ status, headers }, error) {
  if (status === 401) return "Wrong token. Nothing was done.";
  if (status === 429) return `Too many wrong tokens. Try again in ${headers.get("Retry-After")} s.`;
  return `Not done (${status}): ${error}.`;
}

for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) {
  addEventListener(kind, () => (lastActive = Date.now()), { passive: true });
}
element("continue").addEventListener("click", () => (start(), poll()));
element("form")?.addEventListener("submit", confirm);
element("confirm")?.addEventListener("close", ({ target }) => target.returnValue && sleep(confirmed));
if (element("form")) element("form").hidden = false;
element("updates").hidden = false;
start();
if (element("machine").dataset.state === "draining") leave(element("machine").dataset.machine, "draining");
