// @ts-check
// Tells by sound and vibration what a scan came to: people at a gate look at visitors.

/** Tones in hertz and their length in seconds. */
const SOUNDS = {
  good: [[880, 0.09], [1320, 0.14]],
  bad: [[220, 0.22], [0, 0.06], [180, 0.38]],
  unsure: [[440, 0.2]],
};
const BUZZES = { good: [80], bad: [250, 100, 250], unsure: [150] };

/** @type {AudioContext | null} */
let audio = null;

/** Browsers play sound only after somebody touched the page. */
export function wake() {
  audio ??= new AudioContext();
  void audio.resume();
}

/** @param {"good" | "bad" | "unsure"} mood */
export function signal(mood) {
  navigator.vibrate?.(BUZZES[mood]);
  if (audio === null) return;
  let at = audio.currentTime;
  for (const [hertz, seconds] of SOUNDS[mood]) {
    if (hertz > 0) {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      tone.frequency.value = hertz;
      volume.gain.value = 0.3;
      tone.connect(volume).connect(audio.destination);
      tone.start(at);
      tone.stop(at + seconds);
    }
    at += seconds;
  }
}
