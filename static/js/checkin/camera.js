// @ts-check
// Finds QR codes in what the camera sees, or in a picture: with the browser's own detector, or with
// a library where there is none.

/** @typedef {(source: HTMLVideoElement | ImageBitmap) => Promise<string | null>} Detect */

/** Time between looks at what the camera sees. */
const LOOK_EVERY_MS = 120;
/** Longest side of what the library looks at: larger pictures are scaled down. */
const SIDE_MAX = 1024;

/** @returns {Promise<Detect>} */
export async function detector() {
  const own = await ownDetector();
  if (own !== null) {
    return async (source) => (await own.detect(source))[0]?.rawValue ?? null;
  }
  const { decodeQR } = await import("../vendor/qr/decode.js");
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return async (source) => {
    const [width, height] =
      source instanceof HTMLVideoElement ? [source.videoWidth, source.videoHeight] : [source.width, source.height];
    if (context === null || width === 0 || height === 0) return null;
    const scale = Math.min(1, SIDE_MAX / Math.max(width, height));
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    try {
      return decodeQR({ width: canvas.width, height: canvas.height, data });
    } catch {
      // There is no code in the picture.
      return null;
    }
  };
}

/** @returns {Promise<any>} */
async function ownDetector() {
  const Detector = /** @type {any} */ (globalThis).BarcodeDetector;
  if (Detector === undefined) return null;
  try {
    const formats = await Detector.getSupportedFormats();
    return formats.includes("qr_code") ? new Detector({ formats: ["qr_code"] }) : null;
  } catch {
    return null;
  }
}

export class Camera {
  #video;
  #detect;
  #onText;
  /** @type {MediaStream | null} */
  #stream = null;

  /**
   * @param {HTMLVideoElement} video
   * @param {Detect} detect
   * @param {(text: string) => void} onText
   */
  constructor(video, detect, onText) {
    this.#video = video;
    this.#detect = detect;
    this.#onText = onText;
  }

  get isOn() {
    return this.#stream !== null;
  }

  async start() {
    const video = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } };
    this.#stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    this.#video.srcObject = this.#stream;
    await this.#video.play();
    void this.#look();
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#video.srcObject = null;
  }

  async #look() {
    while (this.#stream !== null) {
      const text = document.hidden ? null : await this.#detect(this.#video).catch(() => null);
      if (text !== null) this.#onText(text);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }
}
