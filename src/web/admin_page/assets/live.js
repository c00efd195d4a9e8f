// Keeps an open page up to date: whenever the service says that something has changed, it asks for the same page again and
// puts its living parts in the place of the old ones. Without it, to load the page again does the same.
"use strict";

(() => {
  const address = document.body.dataset.live;
  const note = document.getElementById("live");
  if (!address || !note || !("EventSource" in window)) return;

  let asking = false;
  let again = false;

  function gone() {
    stream.close();
    note.textContent = note.dataset.gone;
  }

  // A document that is asked for so is parsed without running anything, and without a text being made into one here.
  function ask() {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.setRequestHeader("x-live", "1");
    request.onloadend = () => {
      asking = false;
      if (request.status === 401) return gone();
      if (request.status === 200 && request.responseXML) put(request.responseXML);
      if (again) {
        again = false;
        ask();
      }
    };
    request.send();
  }

  function put(fresh) {
    for (const old of document.querySelectorAll("[data-part]")) {
      const part = fresh.querySelector(`[data-part="${CSS.escape(old.dataset.part)}"]`);
      if (!part || part.isEqualNode(old)) continue;
      const open = [...old.querySelectorAll("details")].map((details) => details.open);
      const focused = old.contains(document.activeElement);
      const place = focused ? [...old.querySelectorAll("a, button, summary")].indexOf(document.activeElement) : -1;
      const placed = document.adoptNode(part);
      [...placed.querySelectorAll("details")].forEach((details, index) => {
        details.open = open[index] ?? details.open;
      });
      old.replaceWith(placed);
      if (focused) placed.querySelectorAll("a, button, summary")[place]?.focus();
    }
  }

  const stream = new EventSource(address);
  stream.addEventListener("changed", ask);
  stream.onerror = () => {
    // A browser comes back by itself, except where it was refused.
    if (stream.readyState === EventSource.CLOSED) gone();
  };
})();
