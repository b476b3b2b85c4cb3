// Runs Truv's widget on our page. Its events and callbacks: upstream/truv.md section 15.
"use strict";

globalThis.connectWidget = {
  isReady: () => typeof globalThis.TruvBridge?.init === "function",

  open(token, on) {
    let isOver = false;
    const connected = (publicToken) => {
      // Handed over twice: by the SUCCESS event and by onSuccess.
      if (isOver || typeof publicToken !== "string" || publicToken === "") return;
      isOver = true;
      on.connected(publicToken);
    };
    const widget = globalThis.TruvBridge.init({
      bridgeToken: token,
      onLoad: () => on.opened(),
      onEvent: (type, payload) => {
        if (type === "SUCCESS") connected(payload?.public_token);
        if (type === "ERROR") on.failed(payload?.error?.error_code ?? "ERROR");
        if (type === "UNSUPPORTED_BROWSER") on.failed("UNSUPPORTED_BROWSER");
      },
      onSuccess: (publicToken) => connected(publicToken),
      onClose: () => {
        if (!isOver) on.closed();
      },
    });
    widget.open();
    return widget;
  },
};
