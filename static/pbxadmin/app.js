"use strict";
// What HTMX cannot do. Everything works without this file.
(() => {
  const say = (text) => { document.getElementById("said").textContent = text; };

  // Keys: an element names its own in `data-key`, one letter or two after another, such as "g i". Off for who wants so.
  const typesInto = "input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]";
  const keysAreOff = () => { try { return localStorage.getItem("keys") === "off"; } catch { return false; } };
  let keyBefore = "";
  const use = (wanted) => {
    if (wanted.matches("input")) { wanted.focus(); wanted.select(); }
    else wanted.click();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || keysAreOff() || event.target.closest(typesInto)) return;
    if (document.querySelector("dialog[open]")) return;
    const pressed = [`${keyBefore} ${event.key}`, event.key].map((key) => `[data-key="${CSS.escape(key)}"]`);
    const wanted = pressed.map((key) => document.querySelector(key)).find((found) => found && !found.disabled);
    if (event.key !== "Shift") keyBefore = event.key;
    if (!wanted) return;
    event.preventDefault();
    keyBefore = "";
    use(wanted);
  });

  // The list of the keys of this page, made of the elements that have one.
  const nameOf = (element) => (element.getAttribute("aria-label") || (element.labels && element.labels[0] ? element.labels[0] : element).textContent).replace(/\s+/g, " ").trim();
  const showKeys = () => {
    const dialog = document.getElementById("keys");
    const rows = [...document.querySelectorAll("[data-key]")].flatMap((element) => {
      const term = document.createElement("dt");
      const what = document.createElement("dd");
      term.append(...element.dataset.key.split(" ").map((key) => Object.assign(document.createElement("kbd"), { textContent: key })));
      what.textContent = element.dataset.keyName || nameOf(element);
      return [term, what];
    });
    dialog.querySelector("dl").replaceChildren(...rows);
    dialog.querySelector("[data-keys-switch]").checked = !keysAreOff();
    dialog.showModal();
  };
  document.addEventListener("click", (event) => { if (event.target.closest("[data-show-keys]")) showKeys(); });
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-keys-switch]")) return;
    if (event.target.checked) localStorage.removeItem("keys");
    else localStorage.setItem("keys", "off");
  });

  // The arrows go from a search down what it found, and back.
  document.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const stops = [...document.querySelectorAll(event.target.matches("#q, .hit") ? "#q, .hit" : "#filter-q, .table .main")];
    const here = stops.indexOf(event.target);
    if (!step || here < 0 || !stops[here + step]) return;
    event.preventDefault();
    stops[here + step].focus();
  });

  // What was found while somebody typed goes with Escape, and when somebody goes elsewhere.
  const hits = () => document.getElementById("hits");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !hits() || !hits().hasChildNodes()) return;
    hits().replaceChildren();
    document.getElementById("q").focus();
  });
  ["click", "focusin"].forEach((what) => document.addEventListener(what, (event) => {
    if (hits() && !hits().parentElement.contains(event.target)) hits().replaceChildren();
  }));

  // A sheet that is open closes with Escape, and when somebody goes elsewhere.
  const sheets = () => document.querySelectorAll("details[open]:has(> .sheet)");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    sheets().forEach((sheet) => { sheet.open = false; if (sheet.contains(document.activeElement)) sheet.querySelector("summary").focus(); });
  });
  ["click", "focusin"].forEach((what) => document.addEventListener(what, (event) => {
    sheets().forEach((sheet) => { if (!sheet.contains(event.target)) sheet.open = false; });
  }));

  // Theme: as the system, light, dark.
  const themes = ["system", "light", "dark"];
  const theme = () => { try { return localStorage.getItem("theme") || "system"; } catch { return "system"; } };
  const choose = (next) => {
    if (next === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  };
  const showTheme = () => {
    if (theme() === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme();
    const button = document.querySelector("[data-theme-button]");
    if (!button) return;
    button.hidden = false;
    button.title = `Theme: ${theme() === "system" ? "as the system" : theme()}`;
    button.setAttribute("aria-label", button.title);
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-button]")) return;
    choose(themes[(themes.indexOf(theme()) + 1) % themes.length]);
    showTheme();
    say(`Theme: ${theme()}`);
  });

  // The address of a list says only what narrows it.
  document.addEventListener("htmx:configRequest", ({ detail: { verb, formData } }) => {
    if (verb !== "get") return;
    const isEmpty = (name) => formData.getAll(name).every((value) => value === "");
    [...new Set(formData.keys())].filter(isEmpty).forEach((name) => formData.delete(name));
  });

  // What stands beside a list and means what the list shows follows its filter, and keeps the format that it asks for.
  document.addEventListener("htmx:pushedIntoHistory", () => document.querySelectorAll("[data-filtered]").forEach((element) => {
    const name = element.matches("form") ? "action" : "href";
    const address = new URL(element.getAttribute(name), location);
    const query = new URLSearchParams(location.search);
    query.delete("cursor");
    if (address.searchParams.has("format")) query.set("format", address.searchParams.get("format"));
    address.search = query;
    element.setAttribute(name, address.pathname + address.search);
  }));

  // One box for all boxes of its table, and one for all that match, also on other pages.
  const boxesOf = (element) => element.closest(".stack").querySelectorAll("tbody [type=checkbox]");
  const allBox = (element) => element.closest(".stack").querySelector("[data-all-that-match]");
  const headBox = (element) => element.closest(".stack").querySelector("[data-choose-all] input");
  document.addEventListener("change", ({ target }) => {
    const isHead = target.closest("[data-choose-all]");
    if (isHead || target.matches("[data-all-that-match]")) boxesOf(target).forEach((box) => { box.checked = target.checked; });
    else if (!target.closest("tbody") || target.type !== "checkbox" || !headBox(target)) return;
    const boxes = [...boxesOf(target)];
    headBox(target).checked = boxes.length > 0 && boxes.every((box) => box.checked);
    if (allBox(target) && !headBox(target).checked) allBox(target).checked = false;
    showChosen();
  });

  // A button that acts on what is chosen says on how many, in `data-chosen` where they are counted.
  const showChosen = () => document.querySelectorAll("[data-chosen]").forEach((place) => {
    const all = allBox(place);
    const count = all && all.checked ? all.dataset.allThatMatch : [...boxesOf(place)].filter((box) => box.checked).length;
    place.textContent = count ? place.dataset.chosen.replace("#", count) : "";
  });

  // Copy buttons, and boxes for all, exist only where they work.
  const offer = (root) => {
    root.querySelectorAll("[data-copy]").forEach((copy) => { copy.hidden = !navigator.clipboard; });
    root.querySelectorAll("[data-dismiss]").forEach((button) => { button.hidden = false; });
    root.querySelectorAll("[data-show-keys]").forEach((button) => { button.hidden = false; });
    root.querySelectorAll("[data-choose-all]").forEach((all) => { all.hidden = false; });
  };
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (!copy) return;
    await navigator.clipboard.writeText(document.querySelector(copy.dataset.copy).textContent);
    const label = copy.lastChild;
    const before = label.textContent;
    label.textContent = "Copied";
    say("Copied");
    setTimeout(() => { label.textContent = before; }, 2000);
  });

  // A message stays in sight until somebody has read it.
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-dismiss]")) return;
    const heading = document.querySelector("#main h1");
    event.target.closest(".note").remove();
    if (!heading) return;
    heading.tabIndex = -1;
    heading.focus();
  });

  // A form sends once, and what waits for a PBX says so. Not for ever: an answer may be a file, or never come.
  const once = (event, element) => {
    if (element.dataset.sent) { event.preventDefault(); return; }
    element.dataset.sent = "yes";
    setTimeout(() => { delete element.dataset.sent; }, 30000);
  };
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.wait) say(event.target.dataset.wait);
    if (event.target.method === "post" && !event.target.hasAttribute("hx-post")) once(event, event.target);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-wait]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    say(link.dataset.wait);
    once(event, link);
  });
  addEventListener("pageshow", () => document.querySelectorAll("[data-sent]").forEach((sent) => { delete sent.dataset.sent; }));

  // A form with what nobody has saved asks before it is left. Cancel says already that it may go.
  const isTouched = (field) => field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked
    : field.options ? [...field.options].some((option) => option.selected !== option.defaultSelected)
    : field.type !== "hidden" && "defaultValue" in field && field.value !== field.defaultValue;
  const isUnsaved = (form) => !form.dataset.leaving && (form.dataset.unsaved || [...form.elements].some(isTouched));
  addEventListener("beforeunload", (event) => {
    if ([...document.querySelectorAll("form[data-unsaved]")].some(isUnsaved)) event.preventDefault();
  });
  const mayGo = (form) => { if (form) form.dataset.leaving = "yes"; };
  const asksAgain = () => document.querySelectorAll("[data-leaving]").forEach((form) => { delete form.dataset.leaving; });
  addEventListener("pageshow", asksAgain);
  document.addEventListener("htmx:afterRequest", (event) => { if (!event.detail.successful) asksAgain(); });
  const isLedAway = (event) => event.detail.xhr.getResponseHeader("HX-Redirect");  // as to sign in: nothing was taken
  document.addEventListener("htmx:beforeOnLoad", (event) => { if (isLedAway(event)) asksAgain(); });
  document.addEventListener("submit", (event) => mayGo(event.target));
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-discard]")) mayGo(event.target.closest("form"));
  });

  // A web address that is pasted as a host goes into its three fields at once. One with more in it is left to the server.
  const webAddress = /^(https?):\/\/([^\s/@?#:[\]]+|\[[\da-f:]+\])(?::(\d+))?\/?$/i;
  document.addEventListener("change", ({ target }) => {
    const found = target.matches("form [name=host]") && webAddress.exec(target.value.trim());
    const { scheme, port } = target.form ? target.form.elements : {};
    if (!found || !scheme || !port) return;
    [scheme.value, target.value, port.value] = [found[1].toLowerCase(), found[2], found[3] || port.value];
    say(`Taken apart into ${scheme.value}, ${target.value} and port ${port.value}`);
  });

  // A problem stays in sight until something goes well. Where the server did not answer, or another one did for it, the words are ours.
  const problems = () => document.getElementById("problems");
  const noAnswer = () => problems().replaceChildren(document.getElementById("no-answer").content.cloneNode(true));
  document.addEventListener("htmx:sendError", noAnswer);
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.detail.isError || event.detail.serverResponse.includes("data-problem")) return;
    event.detail.shouldSwap = false;
    noAnswer();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && event.target.id !== "q") problems().replaceChildren();
  });

  // Whoever decided on a row goes on with the next one that asks for it.
  const nextButton = (row) => {
    while ((row = row.nextElementSibling)) if (row.querySelector("button")) return row.querySelector("button");
    return null;
  };

  // Whoever was in what HTMX takes out would be nowhere afterwards, and with the keyboard back at the top of the page.
  // A button that is disabled while it waits loses the focus before that.
  let pressed = null;
  let wasInside = false;
  document.addEventListener("htmx:beforeRequest", () => { pressed = document.activeElement; });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const here = document.activeElement === document.body ? pressed : document.activeElement;
    wasInside = event.target.contains(here);
  });

  // After HTMX put something in: focus the first field in error, else the outcome or the title, and say what came out.
  document.addEventListener("htmx:afterSwap", (event) => {
    const now = document.getElementById(event.detail.target.id) || event.target;  // a target that was swapped whole is gone
    const told = now.querySelector("[data-say], .empty h2");
    if (told) say(told.textContent.replace(/\s+/g, " ").trim());
    if (event.target.id === "hits") return;
    offer(document);
    showChosen();
    showTheme();
    const bad = event.target.parentElement?.querySelector("[aria-invalid=true]") || document.querySelector("#main [aria-invalid=true]");
    const outcome = document.querySelector("[data-outcome] .outcome h2");
    if (bad) bad.focus();
    if (outcome) say(outcome.textContent);
  });
  // Only now HTMX knows the new forms: a key that is pressed sooner would send them without it.
  document.addEventListener("htmx:afterSettle", (event) => {
    const row = event.target.closest("tr");
    const next = wasInside && row && nextButton(row);
    if (next) return next.focus();
    const heading = document.querySelector("#main .outcome h2") || document.querySelector("#main h1");
    if (!heading || !wasInside || document.activeElement !== document.body) return;
    heading.tabIndex = -1;
    heading.focus();
  });
  // A link to a field of a form goes into it, ready to be typed over.
  const meant = location.hash && document.getElementById(location.hash.slice(1));
  if (meant && meant.closest("form")) use(meant);
  offer(document);
  showChosen();
  showTheme();
})();
