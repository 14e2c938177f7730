// Reloads the waiting page from time to time while its module script does not run: because the
// browser is too old for it, it could not be loaded, or it failed. Browsers ignore <noscript> then.
// This file uses only old syntax, so that the oldest browsers can run it.
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
