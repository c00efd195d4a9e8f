// Keeps an open page up to date: whenever the service says that something has changed, it asks for the same page again and
// puts its living parts in the place of the old ones. Without it, to load the page again does the same.
"use strict";

(() => {
  const address = document.body.dataset.live;
  const note = document.getElementById("live");
  const pause = document.getElementById("pause");
  if (!address || !note || !pause || !("EventSource" in window)) return;

  const REACHED = "a, button, summary, [tabindex]";
  const WAIT = 5000;
  // The service says something at least every half minute.
  const SILENCE = 60000;
  let stream = null;
  let timer = 0;
  let silence = 0;
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
  function wanted() {
    return !over && !paused && document.visibilityState === "visible";
  }

  function hush() {
    clearTimeout(timer);
    clearTimeout(silence);
    if (stream) stream.close();
    stream = null;
  }

  function alive() {
    clearTimeout(silence);
    silence = setTimeout(() => {
      hush();
      say("lost");
      listen();
    }, SILENCE);
  }

  function listen() {
    if (!wanted()) {
      hush();
    } else if (!stream) {
      stream = new EventSource(address);
      alive();
      stream.addEventListener("changed", () => {
        alive();
        ask();
      });
      stream.onerror = () => {
        say("lost");
        // A browser comes back by itself, except where it was refused. Whether the session is over the page itself will say.
        if (!stream || stream.readyState !== EventSource.CLOSED) return;
        hush();
        ask();
        later(listen);
      };
    }
  }

  // A document that is asked for so is parsed without running anything, and without a text being made into one here.
  function ask() {
    if (!wanted()) return;
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
      const [old, all] = [document, fresh].map((root) => root.querySelector(".parts") || root.querySelector("main"));
      if (old && all) swap(old, all);
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
    const key = (one) => one.id || one.getAttribute("href") || one.tagName;
    const like = (root, one) => [...root.querySelectorAll(REACHED)].filter((other) => key(other) === key(one));
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    // Lists grow at their beginning, so that one of several that are alike is counted from the end.
    const place = focused ? like(old, focused).reverse().indexOf(focused) : -1;
    const placed = document.adoptNode(fresh);
    [...placed.querySelectorAll("details")].forEach((details, index) => {
      details.open = open[index] ?? details.open;
    });
    old.replaceWith(placed);
    [...placed.querySelectorAll("[tabindex]")].forEach((region, index) => {
      region.scrollTop = moved[index] ?? 0;
    });
    if (focused) like(placed, focused).reverse()[place]?.focus({ preventScroll: true });
  }

  function label() {
    pause.textContent = paused ? pause.dataset.goOn : pause.dataset.pause;
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    label();
    listen();
  });
  function release() {
    pressed = false;
    // The click comes first.
    setTimeout(put);
  }

  addEventListener("pointerdown", (event) => {
    pressed = event.button === 0;
  });
  for (const end of ["pointerup", "pointercancel", "contextmenu", "blur"]) {
    addEventListener(end, release);
  }
  // Some ways of letting go nobody tells of.
  addEventListener("pointermove", (event) => {
    if (pressed && event.buttons === 0) release();
  });
  document.addEventListener("visibilitychange", listen);
  // A page that is gone for now gives its connection back.
  addEventListener("pagehide", hush);
  addEventListener("pageshow", listen);
  label();
  pause.hidden = false;
  listen();
})();
