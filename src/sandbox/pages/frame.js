// The inside of the stand-in widget: choose a bank, log in, give a code.
(() => {
  "use strict";

  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get("token") || "";
  const parentOrigin = given.get("parent") || "";
  const at = (id) => document.getElementById(id);
  const screens = ["waiting", "banks", "login", "done", "over"];
  let bank = null;
  let banks = [];
  let asksCode = false;

  // The browser hands this over only if the page around us is the one that named itself.
  const tell = (type, payload = {}) => {
    if (window.parent !== window && parentOrigin) window.parent.postMessage({ type, payload }, parentOrigin);
  };
  const event = (type, payload = {}) => tell(type, { provider_id: bank && bank.id, product_type: "transactions", ...payload });

  const show = (screen, focus) => {
    for (const id of screens) at(id).hidden = id !== screen;
    (focus || at(screen).querySelector("h1") || at("close")).focus();
    event("SCREEN_VIEW", { view_name: asksCode && screen === "login" ? "mfa" : screen });
  };

  const say = (text) => {
    at("error").textContent = text;
    at("error").hidden = !text;
  };

  const ask = async (path, body) => {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return { ok: answer.ok, body: await answer.json() };
  };

  const list = () => {
    const wanted = at("search").value.toLowerCase();
    const fits = banks.filter(({ name }) => name.toLowerCase().includes(wanted));
    at("bank-list").replaceChildren(...fits.map((choice) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.id = `provider-${choice.id}`;
      button.textContent = choice.name;
      button.addEventListener("click", () => logIn(choice));
      item.append(button);
      return item;
    }));
  };

  const logIn = (choice) => {
    bank = choice;
    at("bank-name").textContent = bank.name;
    say("");
    demand(false);
    show("login", at("username"));
  };

  const demand = (code) => {
    asksCode = code;
    at("credentials").hidden = code;
    at("second-factor").hidden = !code;
    at("code").value = "";
    at("submit").textContent = code ? "Confirm" : "Log in";
  };

  const failed = (error) => {
    event("ERROR", { error, ...error });
    demand(false);
    say(error.error_code === "MFA_ERROR" ? "The bank refused the code. Try again." : "The bank refused this login. Try again.");
    show("login", at("username"));
  };

  const submit = async () => {
    const body = {
      bridge_token: token, provider_id: bank.id, interactive: true,
      username: at("username").value, password: at("password").value,
    };
    if (asksCode) body.mfa = at("code").value;
    at("submit").disabled = true;
    const { ok, body: answer } = await ask("/sandbox/connect", body);
    at("submit").disabled = false;
    if (ok && answer.mfa_required) {
      demand(true);
      say("");
      show("login", at("code"));
    } else if (ok) {
      const { public_token, task_id } = answer;
      event("LINK_CREATED", { task_id });
      event("LOGIN_COMPLETE", { task_id });
      event("SUCCESS", { public_token, task_id, employer: { name: bank.name } });
      show("done", at("finish"));
    } else if (answer.error && answer.error.error_type) {
      failed(answer.error);
    } else {
      over(answer);
    }
  };

  const over = (answer) => {
    const message = (answer.error && answer.error.message) || answer.detail || "The widget got no answer.";
    at("why").textContent = message;
    event("ERROR", { error: { error_type: "LINK_ERROR", error_code: "ERROR", error_message: message } });
    show("over");
  };

  const start = async () => {
    const { ok, body } = await ask("/sandbox/widget/open", { bridge_token: token });
    if (!ok) return over(body);
    banks = body.banks;
    at("back").hidden = Boolean(body.bank);
    list();
    return body.bank ? logIn(body.bank) : show("banks", at("search"));
  };

  const attempt = (work) => work().catch(() => over({}));
  at("form").addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    attempt(submit);
  });
  at("search").addEventListener("input", list);
  at("back").addEventListener("click", () => show("banks", at("search")));
  at("close").addEventListener("click", () => tell("close"));
  at("finish").addEventListener("click", () => tell("close"));
  document.addEventListener("keydown", (pressed) => pressed.key === "Escape" && tell("close"));
  window.addEventListener("message", (message) => {
    if (message.source === window.parent && message.origin === parentOrigin && message.data.type === "open") attempt(start);
  });
  tell("ready");
})();
