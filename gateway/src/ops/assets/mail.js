// @ts-check

/** The dashboard keeps the token under this name, for as long as the tab is open. */
const TOKEN = "ropeline-admin-token";
/** A message may have styles of its own, and nothing else. */
const POLICY =
  `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`;

const byId = (id) => /** @type {any} */ (document.getElementById(id));

async function call(path) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(TOKEN) ?? ""}` };
  const response = await fetch(`/admin/v1${path}`, { headers, signal: AbortSignal.timeout(5000) });
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    throw Object.assign(new Error(answer?.detail ?? answer?.title ?? `The gateway answered ${response.status}.`),
      { status: response.status });
  }
  return answer;
}

function signedOut(why) {
  sessionStorage.removeItem(TOKEN);
  byId("sign-in-problem").textContent = why;
  byId("sign-in").hidden = false;
  byId("mail").hidden = true;
  byId("again").hidden = true;
}

async function show(name, button) {
  const message = await call(`/mail/files/${encodeURIComponent(name)}`);
  for (const other of byId("messages").querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true");
  byId("subject").textContent = message.subject;
  const heads = [["From", message.from], ["To", recipient(message.to)], ["Message-ID", message.messageId], ["File", `${name}.eml`]];
  byId("heads").replaceChildren(...heads.flatMap(([name, value]) => {
    const [term, data] = ["dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    data.textContent = value;
    return [term, data];
  }));
  byId("html").srcdoc = POLICY + message.html;
  byId("text").textContent = message.text;
  byId("message").hidden = false;
  // On a small screen the message is below the list.
  if (!matchMedia("(min-width: 60rem)").matches) byId("message").scrollIntoView();
}

/** Text messages are in files that look like mail. */
function recipient(to) {
  return to.endsWith("@sms.invalid") ? to.slice(0, -"@sms.invalid".length) : to;
}

/** A file is named by the time of its message, in milliseconds. */
function timeOf(name) {
  const at = new Date(Number.parseInt(name, 10));
  const form = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  return Number.isNaN(at.getTime()) ? "" : at.toLocaleString(undefined, form);
}

function failed(error) {
  if (error.status === 401) signedOut("This token is not valid.");
  else byId("problem").textContent = error.message;
}

async function look() {
  const { messages } = await call("/mail/files");
  byId("problem").textContent = "";
  byId("sign-in").hidden = true;
  byId("again").hidden = false;
  byId("mail").hidden = false;
  byId("messages").replaceChildren(...messages.map((message) => {
    const [row, button, about, to, at] = ["li", "button", "small", "span", "time"].map((tag) => document.createElement(tag));
    button.setAttribute("type", "button");
    to.textContent = recipient(message.to);
    at.textContent = timeOf(message.name);
    about.append(to, at);
    button.append(message.subject, about);
    button.addEventListener("click", () => show(message.name, button).catch(failed));
    row.append(button);
    return row;
  }));
  byId("connection").textContent = messages.length === 0
    ? "No mail in files. With ROPELINE_SMTP_URL mail goes to a mail server."
    : `${messages.length} ${messages.length === 1 ? "message" : "messages"}, the newest first`;
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, byId("token").value.trim());
  byId("token").value = "";
  byId("sign-in-problem").textContent = "";
  look().catch(failed);
});
byId("again").addEventListener("click", () => look().catch(failed));
if (sessionStorage.getItem(TOKEN)) look().catch(failed);
else signedOut("");
