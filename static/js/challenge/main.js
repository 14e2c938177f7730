// @ts-check
// Solves the challenge of the page in a worker and sends the form.

const form = document.getElementById("challenge");
const progress = document.getElementById("challenge-progress");
const note = document.getElementById("challenge-note");

/** @param {string} text */
function tell(text) {
  if (note !== null) {
    note.textContent = text;
  }
}

if (form instanceof HTMLFormElement && progress instanceof HTMLProgressElement) {
  const proof = form.elements.namedItem("proof");
  const worker = new Worker(form.dataset.worker ?? "", { type: "module" });
  worker.addEventListener("message", ({ data }) => {
    if (data.proof !== undefined && proof instanceof HTMLInputElement) {
      progress.value = progress.max;
      tell("Done. Going on.");
      proof.value = data.proof;
      form.submit();
    } else if (data.failed) {
      tell("The calculation found nothing. Please go back and try again.");
    } else {
      // On average half of the numbers are tried.
      progress.value = data.done * progress.max;
    }
  });
  worker.addEventListener("error", () => {
    tell("The calculation could not be started. Please open the shop in another browser.");
  });
  worker.postMessage(JSON.parse(form.dataset.challenge ?? "{}"));
}
