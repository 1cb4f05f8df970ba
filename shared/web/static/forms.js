// Makes the citizens' forms quicker to use. Everything works without it; what the server says about a field is what counts.
(function () {
  "use strict";
  const length = (text) => Array.from(text.trim()).length;
  const one = (selector, inside) => (inside || document).querySelector(selector);
  const all = (selector, inside) => Array.from((inside || document).querySelectorAll(selector));

  // ── the server's messages take the focus ────────────────────────────────────────────────────────────────────────────
  const first = one("#errors");
  if (first) first.focus();

  // ── receipt codes: the check character tells typing errors at once (ISO 7064 MOD 37-2) ─────────────────────────────
  const SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U";
  function plain(text) {
    return text.normalize("NFKC").toUpperCase().replace(/[\s\-_./·‐‑‒–—―−－]+/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  }
  function checks(code) {
    let sum = 0;
    for (const sign of code) {
      const value = SIGNS.indexOf(sign);
      if (value < 0 || value > 31) return false;
      sum = (sum * 2 + value) % 37;
    }
    return sum === 1;
  }

  // ── checks before sending ──────────────────────────────────────────────────────────────────────────────────────────
  function complaint(field) {
    const said = field.dataset;
    if (field.matches("fieldset")) return one("input:checked", field) ? "" : said.need;
    if (said.any) return said.any.split(" ").some((name) => length(one("#" + name).value)) ? "" : said.need;
    const typed = length(field.value);
    if (!typed) return said.need || "";
    if (said.min && typed < Number(said.min)) return said.short;
    if (said.max && typed > Number(said.max)) return said.long;
    if (said.code) {
      const code = plain(field.value);
      return code.length !== 13 ? said.length : checks(code) ? "" : said.code;
    }
    return "";
  }

  function place(field) {
    return field.matches("fieldset") ? one("input", field) : field;
  }

  function show(field, text) {
    const name = field.dataset.name || field.id;
    const box = field.closest(".field");
    let said = document.getElementById(name + "-error");
    const rest = (field.getAttribute("aria-describedby") || "").split(" ").filter((id) => id && id !== name + "-error");
    if (text) {
      if (!said) {
        said = document.createElement("p");
        said.className = "error";
        said.id = name + "-error";
        const hint = document.getElementById(name + "-hint");
        const above = hint || one("label, legend", box);
        above.after(said);
      }
      said.textContent = text;
      rest.push(said.id);
      field.setAttribute("aria-invalid", "true");
    } else {
      if (said) said.remove();
      field.removeAttribute("aria-invalid");
    }
    box.classList.toggle("wrong", Boolean(text));
    if (rest.length) field.setAttribute("aria-describedby", rest.join(" "));
    else field.removeAttribute("aria-describedby");
  }

  function summarise(form, wrong) {
    const old = one("#errors");
    if (old) old.remove();
    const box = document.createElement("div");
    box.className = "summary-of-errors";
    box.id = "errors";
    box.tabIndex = -1;
    box.setAttribute("role", "alert");
    const title = document.createElement("h2");
    title.textContent = form.dataset.errors;
    const list = document.createElement("ul");
    for (const [field, text] of wrong) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = "#" + place(field).id;
      link.textContent = text;
      item.append(link);
      list.append(item);
    }
    box.append(title, list);
    one("#main").prepend(box);
    box.focus();
    box.scrollIntoView({ block: "start" });
  }

  for (const form of all("form[data-errors]")) {
    const fields = () => all("[data-need], [data-max]", form).filter((field) => !field.matches("form"));
    form.addEventListener("submit", function (event) {
      const button = event.submitter;
      if (button && button.name === "do" && button.value !== "check") return;
      const wrong = fields().map((field) => [field, complaint(field)]).filter(([, text]) => text);
      const files = one("input[type=file]", form);
      const large = files && Array.from(files.files).some((file) => file.size > Number(form.dataset.most));
      fields().forEach((field) => show(field, complaint(field)));
      if (large) {
        show(files, form.dataset.large);
        wrong.push([files, form.dataset.large]);
      }
      if (!wrong.length) return;
      event.preventDefault();
      summarise(form, wrong);
    });
    // A field that was left says what is wrong with it, and stops saying so when it is right. Not on the way to a button, which a message
    // that comes or goes would move away from under the pointer, and which checks everything anyway.
    const look = function (event) {
      const field = event.target.closest("[data-need], [data-max]");
      const to = event.relatedTarget;
      if (!field || field === form || (to && (to.matches("button") || field.contains(to)))) return;
      if (field.hasAttribute("aria-invalid") || length(field.value || "")) show(field, complaint(field));
      const phone = one("#phone", form);
      if (phone && /^(email|address)$/.test(event.target.id) && phone.hasAttribute("aria-invalid")) show(phone, complaint(phone));
    };
    form.addEventListener("focusout", look);
  }

  // ── how much room is left ──────────────────────────────────────────────────────────────────────────────────────────
  for (const field of all("[data-left]")) {
    const said = document.createElement("p");
    said.className = "count";
    const spoken = document.createElement("span");
    spoken.className = "aside";
    spoken.setAttribute("role", "status");
    field.after(said, spoken);
    let late = 0;
    const tell = function () {
      const left = Number(field.dataset.max) - length(field.value);
      said.textContent = left < 0 ? field.dataset.long : field.dataset.left.replace("{n}", left);
      said.classList.toggle("over", left < 0);
      clearTimeout(late);
      if (left < 20) late = setTimeout(() => { spoken.textContent = said.textContent; }, 1000);
    };
    field.addEventListener("input", tell);
    tell();
  }

  // ── the domain in two steps ────────────────────────────────────────────────────────────────────────────────────────
  const domain = one("select[data-first]");
  if (domain) {
    const groups = all("optgroup", domain);
    const first = document.createElement("select");
    first.id = "domain-first";
    first.setAttribute("aria-label", domain.dataset.group);
    const empty = one("option", domain);
    first.append(new Option(domain.dataset.first, ""));
    groups.forEach((group, at) => first.append(new Option(group.label, at)));
    domain.before(first);
    const narrow = function (keep) {
      const group = groups[first.value];
      const chosen = keep ? domain.value : "";
      domain.replaceChildren(empty, ...(first.value === "" ? groups : [group]));
      domain.value = chosen;
    };
    const start = groups.findIndex((group) => one("option[value='" + CSS.escape(domain.value) + "']", group));
    if (domain.value && start >= 0) {
      first.value = start;
      narrow(true);
    }
    first.addEventListener("change", () => narrow(false));
  }

  // ── the other language: the form's own button takes along what was typed ───────────────────────────────────────────
  const language = one("[data-language]");
  for (const link of language ? all("header a[hreflang]") : []) {
    link.addEventListener("click", function (event) {
      event.preventDefault();
      language.form.requestSubmit(language);
    });
  }

  // ── sent once: a second press while the answer is on its way does nothing ──────────────────────────────────────────
  for (const form of all("form")) {
    let busy = false;
    form.addEventListener("submit", function (event) {
      if (busy) event.preventDefault();
      else if (!event.defaultPrevented) {
        busy = true;
        setTimeout(() => { busy = false; }, 5000);
      }
    });
    window.addEventListener("pageshow", () => { busy = false; });
  }

  // ── the receipt ────────────────────────────────────────────────────────────────────────────────────────────────────
  for (const button of all("[data-copy]")) {
    button.parentElement.hidden = false;
    button.addEventListener("click", async function () {
      const said = one("[role=status]", button.parentElement);
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        said.textContent = button.dataset.copied;
      } catch {
        said.textContent = button.dataset.failed;
        window.getSelection().selectAllChildren(one("#code"));
      }
    });
  }

  // A scanned code leads here with the receipt behind the #, which was sent to no server; it does not stay in the history either.
  const code = one("input#code");
  if (code && location.hash.length > 1) {
    const given = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname + location.search);
    if (checks(plain(given))) {
      code.value = given;
      one("button", code.form).focus();
    }
  }

  // ── the challenge ──────────────────────────────────────────────────────────────────────────────────────────────────
  const work = one("[data-challenge]");
  if (work && window.Worker) {
    const challenge = JSON.parse(work.dataset.challenge);
    const said = one("[role=status]", work), progress = one("progress", work), send = one("#send");
    const without = one(".without-script");
    const fail = function () {
      said.textContent = said.dataset.failed;
      without.hidden = false;
    };
    work.hidden = false;
    without.hidden = true;
    const worker = new Worker(work.dataset.worker);
    worker.onerror = fail;
    worker.onmessage = function (message) {
      if ("tried" in message.data) {
        progress.value = 100 * (1 - Math.exp(-message.data.tried / 100000));
        return;
      }
      one("#solution").value = btoa(JSON.stringify({ challenge: challenge, solution: message.data }));
      progress.value = 100;
      said.textContent = said.dataset.done;
      send.form.requestSubmit(send);
    };
    worker.postMessage(challenge);
  }
})();
