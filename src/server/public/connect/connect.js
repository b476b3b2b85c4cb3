// Opens the aggregator's widget on our page, hands over what it brings, and tells the customer how it stands.
// The widget's own names are known to the glue alone: see Connect::glue.
"use strict";

(() => {
  const LOADS_WITHIN_MS = 20_000;
  const stage = document.getElementById("stage");
  const status = document.getElementById("status");
  const alert = document.getElementById("alert");
  const again = document.getElementById("again");
  const { script, token, finish } = stage.dataset;

  const message = (name) =>
    (document.querySelector(`[data-message="${CSS.escape(name)}"]`) ??
      document.querySelector('[data-message="failed-other"]')).textContent;

  const say = (text) => {
    stage.dataset.state = "busy";
    status.textContent = text;
    status.hidden = false;
    alert.hidden = true;
    again.hidden = true;
  };

  const stop = (text, retry) => {
    stage.dataset.state = "stopped";
    status.hidden = true;
    alert.textContent = text;
    alert.hidden = false;
    again.onclick = retry;
    again.hidden = false;
  };

  const opening = status.textContent;

  // Adds the script to the page, so that its absence can be told.
  const load = () =>
    new Promise((resolve, reject) => {
      if (connectWidget.isReady()) return resolve();
      const element = document.createElement("script");
      const timer = setTimeout(() => reject(new Error("slow")), LOADS_WITHIN_MS);
      element.onload = () => {
        clearTimeout(timer);
        connectWidget.isReady() ? resolve() : reject(new Error("empty"));
      };
      element.onerror = () => {
        clearTimeout(timer);
        reject(new Error("missing"));
      };
      element.src = script;
      document.head.append(element);
    });

  const hand = async (publicToken) => {
    say(message("saving"));
    try {
      const response = await fetch(finish, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ public_token: publicToken }),
        credentials: "omit",
        redirect: "error",
      });
      const answer = await response.json();
      if (answer.next) return location.replace(answer.next);
      // What the widget brought is of no more use: a new beginning is.
      stop(answer.message, response.status === 503 ? () => hand(publicToken) : () => location.replace(location.pathname.replace(/\/begin$/, "") + location.search));
    } catch {
      stop(message("network"), () => hand(publicToken));
    }
  };

  const open = async () => {
    say(opening);
    try {
      await load();
    } catch {
      return stop(message("missing"), open);
    }
    let failure = null;
    try {
      connectWidget.open(token, {
        opened: () => say(message("open")),
        connected: hand,
        failed: (kind) => {
          failure = message(`failed-${kind}`);
          stop(failure, open);
        },
        closed: () => stop(failure ?? message("closed"), open),
      });
    } catch {
      stop(message("failed-other"), open);
    }
  };

  open();
})();
