// Loads the waiting page again from time to time while its script does not run: because the
// browser is too old for it, because it could not be loaded, or because it gave up. Browsers do
// not follow <noscript> then. For that, this file is written as the oldest of them read it.
(function () {
  var line = document.getElementById("line");
  function again() {
    var seconds = Number(line.getAttribute("data-refresh"));
    if (line.hasAttribute("data-scripted") || document.prerendering) seconds = 0;
    setTimeout(function () {
      if (seconds > 0 && !line.hasAttribute("data-scripted")) location.reload();
      else again();
    }, (seconds || 5) * 1000);
  }
  if (line) again();
})();
