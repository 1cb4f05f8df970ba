// Lets <time data-since="2026-11-23T09:30:00Z">…</time> show the time since then, by the server's clock and its pace.
(function () {
  "use strict";
  const root = document.documentElement;
  const serverStart = Date.parse(root.dataset.now);
  const rate = Number(root.dataset.rate) || 1;
  const loaded = performance.now();
  const places = Array.from(document.querySelectorAll("time[data-since]"));
  if (places.length === 0 || Number.isNaN(serverStart)) return;

  function words(seconds) {
    const days = Math.floor(seconds / 86400);
    const hours = Math.floor((seconds % 86400) / 3600);
    const minutes = Math.floor((seconds % 3600) / 60);
    const rest = Math.floor(seconds % 60);
    return (days ? days + "天" : "") + (days || hours ? hours + "小时" : "") + minutes + "分" + (days ? "" : rest + "秒");
  }

  function tick() {
    const now = serverStart + (performance.now() - loaded) * rate;
    for (const place of places) {
      place.textContent = words(Math.max(0, (now - Date.parse(place.dataset.since)) / 1000));
    }
  }

  tick();
  setInterval(tick, 1000);
})();
