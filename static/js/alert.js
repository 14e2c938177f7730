// @ts-check
// Alerts a fan when it is their turn, only if they asked for it.

import texts from "./texts/en.js";

/** Three rising tones, in hertz. */
const TONES_HZ = [523, 659, 784];
const TONE_S = 0.18;

export class TurnAlert {
  /** @type {AudioContext | null} */
  #audio = null;
  #on = false;

  /**
   * Must be called in a click handler: only then browsers allow sound and ask for permission to
   * notify.
   */
  async enable() {
    this.#on = true;
    if (typeof AudioContext === "function") {
      this.#audio ??= new AudioContext();
      await this.#audio.resume();
    }
    if (typeof Notification === "function" && Notification.permission === "default") {
      await Notification.requestPermission();
    }
  }

  /** @param {string} title */
  ring(title) {
    if (!this.#on) return;
    navigator.vibrate?.([200, 100, 200, 100, 400]);
    this.#play();
    try {
      if (Notification.permission === "granted") {
        const notice = new Notification(texts.alerts.title, { body: title, tag: "ropeline-turn" });
        notice.onclick = () => window.focus();
      }
    } catch {
      // Phones allow notifications only from a service worker; sound and vibration still work.
    }
  }

  #play() {
    const audio = this.#audio;
    if (audio === null) return;
    TONES_HZ.forEach((hertz, index) => {
      const at = audio.currentTime + index * TONE_S;
      const tone = new OscillatorNode(audio, { frequency: hertz });
      const volume = new GainNode(audio, { gain: 0.2 });
      volume.gain.setTargetAtTime(0, at + TONE_S / 2, TONE_S / 4);
      tone.connect(volume).connect(audio.destination);
      tone.start(at);
      tone.stop(at + TONE_S * 2);
    });
  }
}
