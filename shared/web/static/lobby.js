// Lets the lobby's screen go through the notice board by itself. It takes only the content anew, so that the screen never turns white;
// while the network is away it keeps what it has, says so, and tries again. Whoever wants less motion turns the screens by hand.
(function () {
  "use strict";
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const away = document.getElementById("away");
  let wait = 0;
  let timer = 0;

  function later() {
    clearTimeout(timer);
    timer = setTimeout(turn, wait * 1000);
  }

  async function turn() {
    const shown = document.getElementById("board");
    if (calm.matches || "still" in shown.dataset) return;
    try {
      const answer = await fetch(shown.dataset.next, { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("board");
      if (fresh === null) throw new Error("not the board");
      shown.replaceWith(document.adoptNode(fresh));
      document.getElementById("next").href = page.getElementById("next").getAttribute("href");
      document.getElementById("today").textContent = page.getElementById("today").textContent;
      document.documentElement.dataset.now = fresh.dataset.told;
      window.xinxiang.told(fresh.dataset.told);
      away.textContent = "";
      wait = Number(fresh.dataset.seconds);
    } catch (_) {
      away.textContent = away.dataset.text;
      wait = Math.min(60, Math.max(5, wait * 2));
    }
    later();
  }

  wait = Number(document.getElementById("board").dataset.seconds);
  later();
  calm.addEventListener("change", () => { if (!calm.matches) later(); });
})();
