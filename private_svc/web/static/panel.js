// Keeps the page current while somebody looks at it, and puts the Machine to sleep for who has the token.
//
// An open page must not keep the Machine awake, nor wake it. So it asks nothing while it is hidden, after a minute without
// pointer or keyboard, after a question that got no answer, and, for good, once the Machine is going.

const POLL_MS = 5_000;
const LOOKING_MS = 60_000;
const ANSWER_MS = 15_000;

const at = (id) => document.getElementById(id);
let polling;
let asking = false;
let gone = false;
let looked = Date.now();
let agreed; // what the dialog asks about: it is sent as it was then

function watch() {
  looked = Date.now();
  clearInterval(polling);
  polling = setInterval(tick, POLL_MS);
  at("go-on").hidden = true;
  at("polling").textContent = "Live, every 5 s";
}

function pause(why) {
  clearInterval(polling);
  at("go-on").hidden = gone;
  at("polling").textContent = why;
}

async function tick() {
  if (Date.now() - looked >= LOOKING_MS) return pause("Paused: an open page must not keep the Machine awake");
  if (document.hidden || asking) return;
  asking = true;
  try {
    show(await page());
  } catch {
    if (!gone) pause("Paused: the Machine did not answer");
  }
  asking = false;
}

async function page() {
  const headers = { Accept: "text/html", "Fly-Prefer-Instance-Id": at("machine").dataset.machine };
  const answer = await fetch("/", { headers, signal: AbortSignal.timeout(ANSWER_MS) });
  if (!answer.ok) throw new Error(answer.status);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function show(newer) {
  if (gone) return;
  for (const element of document.querySelectorAll("[data-live]")) {
    const fresh = newer.getElementById(element.id);
    if (fresh && !fresh.isEqualNode(element)) element.replaceChildren(...fresh.childNodes);
  }
  const { machine, state } = at("machine").dataset;
  if (state === "draining") going(machine, state);
}

function going(machine, state) {
  gone = true;
  pause("");
  const pill = document.querySelector("#machine .pill");
  pill.textContent = state;
  pill.className = "pill draining";
  at("going").textContent = `Machine ${machine} is ${state}. This page asks it nothing more: a request would wake it.`;
  at("gone").hidden = false;
  at("confirm")?.close("");
  at("form")?.remove();
  at("wake").focus();
}

function confirm(event) {
  event.preventDefault();
  const button = event.submitter;
  agreed = { mode: button.value, token: at("token").value };
  at("result").textContent = "";
  at("question").textContent = `${button.textContent} Machine ${at("machine").dataset.machine}?`;
  at("now").textContent = `${at("verdict").textContent}.`;
  at("means").textContent = button.dataset.means;
  at("do").textContent = `${button.textContent} it`;
  at("confirm").returnValue = "";
  at("confirm").showModal();
}

async function sleep({ mode, token }) {
  at("result").textContent = "Asking …";
  const headers = {
    Authorization: `Bearer ${token}`,
    "Fly-Force-Instance-Id": at("machine").dataset.machine, // of several Machines, the one that is shown
  };
  try {
    const body = JSON.stringify({ mode });
    const answer = await fetch("/api/sleep", { method: "POST", headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
    const said = await answer.json().catch(() => ({ error: answer.statusText }));
    if (answer.status === 202) going(said.machine_id, said.status);
    else at("result").textContent = refusal(answer, said.error);
  } catch {
    at("result").textContent = "No answer came: the Machine may be asleep, or out of reach. Reload to see.";
  }
}

function refusal({ status, headers }, said) {
  if (status === 401) return "Wrong token. Nothing was done.";
  if (status === 429) return `Too many wrong tokens. Try again in ${headers.get("Retry-After")} s.`;
  return `Not done (${status}): ${said}.`;
}

for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) {
  addEventListener(kind, () => (looked = Date.now()), { passive: true });
}
at("go-on").addEventListener("click", () => (watch(), tick()));
at("form")?.addEventListener("submit", confirm);
at("confirm")?.addEventListener("close", ({ target }) => target.returnValue && sleep(agreed));
if (at("form")) at("form").hidden = false;
at("live").hidden = false;
watch();
if (at("machine").dataset.state === "draining") going(at("machine").dataset.machine, "draining");
