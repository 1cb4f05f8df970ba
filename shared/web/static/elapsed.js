// Lets times tick in the page by the server's clock and its pace:
//   <time data-since="…Z">        the time since then
//   <time data-clock>             the time of day in Beijing
//   <span data-worked="3" data-since="…Z" data-days="… …">   a count of working days; data-days: when the next ones begin
(function () {
  "use strict";
  const root = document.documentElement;
  const english = root.lang === "en";
  const rate = Number(root.dataset.rate) || 1;
  let start = Date.parse(root.dataset.now);
  let loaded = performance.now();
  if (Number.isNaN(start)) return;

  const units = english ? [" d ", " h ", " min ", " s "] : ["天", "小时", "分", "秒"];
  const clock = new Intl.DateTimeFormat(english ? "en-GB" : "zh-CN", {
    timeZone: "Asia/Shanghai", hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit",
  });

  function words(seconds) {
    const days = Math.floor(seconds / 86400), hours = Math.floor((seconds % 86400) / 3600);
    const minutes = Math.floor((seconds % 3600) / 60), rest = Math.floor(seconds % 60);
    return ((days ? days + units[0] : "") + (days || hours ? hours + units[1] : "") + minutes + units[2] + (days ? "" : rest + units[3])).trim();
  }

  function show(place, text) {
    if (place.textContent !== text) place.textContent = text;
  }

  function tick() {
    const now = start + (performance.now() - loaded) * rate;
    for (const place of document.querySelectorAll("time[data-since]")) {
      const since = Date.parse(place.dataset.since);
      if (now >= since) show(place, words((now - since) / 1000));
    }
    for (const place of document.querySelectorAll("[data-worked]")) {
      const since = Date.parse(place.dataset.since);
      const begun = place.closest("[data-days]").dataset.days.split(" ").map(Date.parse);
      const more = begun.filter((day) => day > start && day <= now && day >= since).length;
      show(place, String(Number(place.dataset.worked) + more));
    }
    for (const place of document.querySelectorAll("time[data-clock]")) show(place, clock.format(now));
  }

  // For pages that take their content anew: the clock of the server as it was just told.
  window.xinxiang = {
    told(moment) { start = Date.parse(moment); loaded = performance.now(); tick(); },
    now() { return start + (performance.now() - loaded) * rate; },
  };
  if (document.querySelector("[data-since], [data-clock]") === null) return;
  tick();
  setInterval(tick, 1000);
})();
