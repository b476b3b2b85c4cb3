// The sandbox's stand-in for the aggregator's widget script: the same calls and events, a made-up bank behind them.
(() => {
  "use strict";

  const home = new URL(document.currentScript.src);
  const FRAME = new URL("frame", home).href;
  const OVERLAY = {
    position: "fixed", inset: "0", width: "100%", height: "100%", border: "0", zIndex: "2147483647", colorScheme: "light",
  };
  const INLINE = { width: "100%", height: "100%", minHeight: "40rem", border: "0", colorScheme: "light" };

  const nothing = () => {};

  // Styles are set one by one: a page that allows no inline styles does not mind that.
  const style = (element, styles) => {
    for (const [name, value] of Object.entries(styles)) element.style[name] = value;
  };

  const containerOf = (position) => {
    if (!position || position.type !== "inline") return null;
    const { container } = position;
    return typeof container === "string" ? document.querySelector(container) : container;
  };

  const init = (options) => {
    const { bridgeToken, isOrder = false, companyMappingId = null, position = null } = options;
    const { onLoad = nothing, onEvent = nothing, onSuccess = nothing, onClose = nothing } = options;
    const source = isOrder ? "order" : "bridge";
    let frame = null;
    let ready = false;
    let wanted = false;
    let before = null;

    const event = (type, payload) => onEvent(type, { bridge_token: bridgeToken, ...payload }, source);

    const show = () => {
      if (!ready || !wanted) return;
      frame.hidden = false;
      event("OPEN", {});
      frame.contentWindow.postMessage({ type: "open" }, home.origin);
      frame.focus();
    };

    const leave = () => {
      if (!frame) return;
      const wasOpen = wanted;
      window.removeEventListener("message", hear);
      frame.remove();
      [frame, ready, wanted] = [null, false, false];
      if (before && before.focus) before.focus();
      if (!wasOpen) return;
      event("CLOSE", {});
      onClose();
    };

    const hear = (message) => {
      if (!frame || message.origin !== home.origin || message.source !== frame.contentWindow) return;
      const { type, payload } = message.data;
      if (type === "ready") {
        ready = true;
        onLoad();
        event("LOAD", {});
        show();
      } else if (type === "close") {
        leave();
      } else {
        event(type, payload);
        if (type !== "SUCCESS") return;
        if (isOrder) {
          event("COMPLETED", {});
          onSuccess();
        } else {
          onSuccess(payload.public_token, { task_id: payload.task_id, employer: payload.employer });
        }
      }
    };

    const load = () => {
      const container = containerOf(position);
      frame = document.createElement("iframe");
      frame.title = "Connect your bank";
      frame.hidden = true;
      style(frame, container ? INLINE : OVERLAY);
      const given = new URLSearchParams({ token: bridgeToken, parent: window.location.origin });
      if (companyMappingId) given.set("company", companyMappingId);
      // Behind the hash, so that the token is in no request for the page.
      frame.src = `${FRAME}#${given}`;
      window.addEventListener("message", hear);
      (container || document.body).append(frame);
    };

    const soon = () => {
      if (frame) return;
      if (document.body) load();
      else document.addEventListener("DOMContentLoaded", () => frame || load(), { once: true });
    };

    soon();
    return {
      open() {
        before = document.activeElement;
        wanted = true;
        soon();
        show();
      },
      close: leave,
    };
  };

  window.TruvBridge = { init };
})();
