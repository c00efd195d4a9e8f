// Keeps an open page up to date: whenever the service says that something has changed, it asks for the same page again and
// puts its living parts in the place of the old ones. Without it, to load the page again does the same.
"use strict";

(() => {
  const address = document.body.dataset.live;
  const note = document.getElementById("live");
  const pause = document.getElementById("pause");
  if (!address || !note || !pause || !("EventSource" in window)) return;

  const WAIT = 5000;
  let stream = null;
  let timer = 0;
  let asking = false;
  let again = false;
  let over = false;
  let paused = false;
  let pressed = false;
  let held = null;

  function say(what) {
    const text = what ? note.dataset[what] : "";
    if (note.textContent !== text) note.textContent = text;
  }

  function later(what) {
    clearTimeout(timer);
    timer = setTimeout(what, WAIT);
  }

  // Only a page that somebody sees takes one of the few connections that a browser has for a service.
  function listen() {
    const wanted = !over && !paused && document.visibilityState === "visible";
    if (!wanted) {
      clearTimeout(timer);
      if (stream) stream.close();
      stream = null;
    } else if (!stream) {
      stream = new EventSource(address);
      stream.addEventListener("changed", ask);
      // A browser comes back by itself, except where it was refused. Whether the session is over the page itself will say.
      stream.onerror = () => {
        if (!stream || stream.readyState !== EventSource.CLOSED) return;
        stream = null;
        ask();
        later(listen);
      };
    }
  }

  // A document that is asked for so is parsed without running anything, and without a text being made into one here.
  function ask() {
    if (over || paused) return;
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.timeout = 4 * WAIT;
    request.setRequestHeader("x-live", "1");
    request.onloadend = () => {
      asking = false;
      if (request.status === 401) {
        over = true;
        say("over");
        listen();
      } else if (request.status === 200 && request.responseXML) {
        say("");
        held = request.responseXML;
        put();
        if (again) ask();
      } else {
        say("lost");
        later(() => {
          listen();
          ask();
        });
      }
      again = false;
    };
    request.send();
  }

  function parts(root) {
    return [...root.querySelectorAll("[data-part]")];
  }

  function named(element) {
    return element.dataset.part;
  }

  // Nothing is taken from under a finger that is about to lift.
  function put() {
    if (!held || pressed || paused) return;
    const fresh = held;
    held = null;
    const names = (root) => parts(root).map(named).join();
    if (names(document) !== names(fresh)) {
      swap(document.querySelector("main"), fresh.querySelector("main"));
      return;
    }
    const news = new Map(parts(fresh).map((part) => [named(part), part]));
    for (const old of parts(document)) {
      if (!news.get(named(old)).isEqualNode(old)) swap(old, news.get(named(old)));
    }
  }

  // What somebody has opened, moved or gone to stays so.
  function swap(old, fresh) {
    const open = [...old.querySelectorAll("details")].map((details) => details.open);
    const moved = [...old.querySelectorAll("[tabindex]")].map((region) => region.scrollTop);
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const placed = document.adoptNode(fresh);
    [...placed.querySelectorAll("details")].forEach((details, index) => {
      details.open = open[index] ?? details.open;
    });
    old.replaceWith(placed);
    [...placed.querySelectorAll("[tabindex]")].forEach((region, index) => {
      region.scrollTop = moved[index] ?? 0;
    });
    if (focused) same(placed, focused)?.focus({ preventScroll: true });
  }

  function same(root, element) {
    const tag = element.tagName.toLowerCase();
    const like = [...root.querySelectorAll(tag)];
    const key = (one) => [one.id, one.getAttribute("href"), one.textContent].join(" ");
    return like.find((one) => key(one) === key(element));
  }

  function label() {
    pause.textContent = paused ? pause.dataset.goOn : pause.dataset.pause;
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    label();
    listen();
  });
  addEventListener("pointerdown", () => {
    pressed = true;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, () => {
      pressed = false;
      // The click comes first.
      setTimeout(put);
    });
  }
  document.addEventListener("visibilitychange", listen);
  // A page that is gone for now gives its connection back.
  addEventListener("pagehide", () => {
    if (stream) stream.close();
    stream = null;
  });
  addEventListener("pageshow", listen);
  label();
  pause.hidden = false;
  listen();
})();
